-- Test rig only: stands for a mod_rapport that speaks another version of the link.

local st = require "util.stanza";
local xmlns_link = "urn:x-rapport:link:0";
local component = module:get_option_string("rapport_component");

if component then
	module:hook("message/host", function (event)
		local hello = event.stanza:get_child("hello", xmlns_link);
		if not hello or event.stanza.attr.from ~= component then return; end
		module:send(st.message({ from = module.host, to = component })
			:tag("refused", { xmlns = xmlns_link, version = "8", asked = hello.attr.version }));
		return true;
	end, 10);
end
