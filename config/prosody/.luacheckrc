-- The globals that Prosody gives to a module, as far as ours uses them
std = "lua54"
max_line_length = 140
files["mod_rapport.lua"] = {
	module = true;
	allow_defined_top = true;
	read_globals = {
		"prosody";
		"module.host"; "module.reloading"; "module.add_timer"; "module.context"; "module.fire_event"; "module.get_host_type";
		"module.get_option_number"; "module.get_option_string"; "module.handle_items"; "module.hook"; "module.hook_global";
		"module.hook_object_event"; "module.log"; "module.open_store"; "module.send"; "module.unhook_object_event";
		"module.wrap_event";
	};
	globals = { "module.load"; "module.save"; "module.restore"; "module.unload" };
}
