-- Rapport's half of the link in Prosody (0.12 and 13); docs/link.md is the protocol.
--
-- Load it on each served VirtualHost and on the Component:
--
--   VirtualHost "example.org"
--       modules_enabled = { "rapport" }           -- beside what is there
--       rapport_component = "rapport.example.org"
--
--   Component "rapport.example.org"
--       component_secret = "..."
--       modules_enabled = { "rapport" }
--
-- and, if Rapport shall hear what is said in rooms, on their Component:
--
--   Component "rooms.example.org" "muc"
--       modules_enabled = { "rapport" }           -- beside what is there
--       rapport_component = "rapport.example.org"
--
-- Options, in the Component's section, the VirtualHost's or the global one:
--   rapport_grace   seconds that the component may be away before messages to it bounce and gates open (default 30)
--   rapport_buffer  stanzas that wait for the component's acknowledgement (default 10000)
--
-- The Component's instance owns the stream, the counter and the queue. Each VirtualHost's instance watches its
-- users' messages, presence, rosters and block lists, holds the gates, and speaks presence in a user's name. The rooms'
-- instance watches what is said in them.

local st = require "util.stanza";
local xml_escape = st.xml_escape;
local parse_xml = require "util.xml".parse;
local jid_bare = require "util.jid".bare;
local jid_host = require "util.jid".host;
local jid_node = require "util.jid".node;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local nodeprep = require "util.encodings".stringprep.nodeprep;
local new_cache = require "util.cache".new;
local new_id = require "util.id".medium;
local new_queue = require "util.queue".new;
local time_now = require "util.time".now;
local load_roster = require "core.rostermanager".load_roster;
local is_contact_subscribed = require "core.rostermanager".is_contact_subscribed;
local user_exists = require "core.usermanager".user_exists;

local core_post_stanza = prosody.core_post_stanza;
local hosts = prosody.hosts;
local full_sessions = prosody.full_sessions;

local xmlns_link = "urn:x-rapport:link:0";
local link_version = "0";
local default_grace, default_buffer = 30, 10000;
local max_once_ids = 10000;
local max_remembered_messages = 10000;
local max_cached_blocklists = 1000;
local max_history_page = 1000;
local max_members = 1000; -- of a room that are told with a message: an owner can name any number
local settle = 0.02; -- seconds in which changes of one user become one notice
local load_limit = 2; -- seconds in which an admin has loaded the other instance too

local is_rooms = module:get_option_string("component_module") == "muc";
local is_component = module:get_host_type() == "component" and not is_rooms;

-- The instance of this module on another host, or nil
local function instance(host)
	local host_session = host and hosts[host];
	return host_session and host_session.modules.rapport;
end

local function instant(at)
	return ("%.6f"):format(at);
end

-- Most notices are put together as text, in one piece: Prosody's collector makes each table and string between dear

local parts, n_parts = {}, 0;

local function put(text)
	n_parts = n_parts + 1;
	parts[n_parts] = text;
end

local function put_attribute(name, value)
	if name:find("\1", 1, true) then return; end -- util.xmppstream's mark of another namespace; none is needed
	put(" "); put(name); put("='");
	put(value:find("['&<>\"]") and xml_escape(value) or value);
	put("'");
end

local function put_attributes(attr)
	for name, value in pairs(attr) do put_attribute(name, value); end
end

local function take_text()
	local text = table.concat(parts, "", 1, n_parts);
	n_parts = 0;
	return text;
end

local forgers = new_cache(1000); -- bare JID -> { count, logged }

local function report_forgery(stanza)
	local sender, now = jid_bare(stanza.attr.from) or "", time_now();
	local forger = forgers:get(sender) or { count = 0, logged = -math.huge };
	forgers:set(sender, forger);
	forger.count = forger.count + 1;
	if now - forger.logged >= 60 then
		module:log("warn", "link.forged sender=%s count=%d", sender, forger.count);
		forger.count, forger.logged = 0, now;
	end
end

---- The Component's instance ----------------------------------------------------------------------------------

local link = { -- all of it survives a reload
	epoch = new_id();
	n = 0; -- the last number given
	queue = new_queue(default_buffer); -- { n (nil: uncounted), xml, stanza (if its sender is to be told) }
	dropped = 0;
	once_ids = new_cache(max_once_ids);
	stream = nil; -- the component's authenticated session
	greeted = {}; -- hosts that said hello on this stream
	refused = false; -- the component on this stream speaks another version
	since = time_now(); -- of the last sign of life: connection, disconnection, acknowledgement, first in the queue
	lapsed = false; -- the grace is over
};
local served = {}; -- hosts that name this component

local grace, buffer = default_grace, default_buffer;

-- The Component's option, or the first host's, or the default
local function get_setting(name, default)
	local value = module:get_option_number(name);
	for host in pairs(served) do
		value = value or module:context(host):get_option_number(name);
	end
	return value and value > 0 and value or default;
end

-- Keeps what is wanted of the queue
local function refill(is_wanted)
	local waiting = link.queue;
	link.queue = new_queue(math.max(buffer, waiting:count()));
	for item in waiting:consume() do
		if is_wanted(item) then link.queue:push(item); end
	end
end

local function read_settings()
	grace, buffer = get_setting("rapport_grace", default_grace), get_setting("rapport_buffer", default_buffer);
	if link.queue.size ~= buffer then refill(function () return true; end); end
end

function get_grace()
	return grace;
end

local function is_full()
	return link.queue:count() >= buffer;
end

local function write(data)
	link.stream.send(data);
end

local function each_served(method)
	for host in pairs(served) do
		local other = instance(host);
		if other then other[method](); end
	end
end

-- RFC 6120, 8.1.3: never answer an error or a result
local function bounce(stanza)
	local kind = stanza.attr.type;
	if kind ~= "error" and kind ~= "result" then
		module:send(st.error_reply(stanza, "wait", "recipient-unavailable", "Not available right now, please try again later"));
	end
end

local function bounce_waiting()
	refill(function (item)
		if not item.stanza then return true; end
		bounce(item.stanza);
	end);
end

local grace_timer;

local function on_grace_over()
	grace_timer = nil;
	if link.lapsed or (link.stream and link.queue:count() == 0) then return; end
	local rest = link.since + grace - time_now();
	if rest > 0 then
		grace_timer = module:add_timer(rest, on_grace_over);
		return;
	end
	link.lapsed = true;
	module:log("warn", "Component %s for %d seconds: what waits for it bounces, gates open",
		link.stream and "acknowledges nothing" or "is away", grace);
	bounce_waiting();
	each_served("open_gates");
end

local function watch_grace()
	grace_timer = grace_timer or module:add_timer(grace, on_grace_over);
end

local function enqueue(item)
	if link.stream and link.queue:count() == 0 then link.since = time_now(); end
	link.queue:push(item);
	if next(link.greeted) then write(item.xml); end
	watch_grace();
end

-- For a counted notice, or nothing if there is no room for it
function take_number()
	if is_full() then
		link.dropped = link.dropped + 1;
		return;
	end
	link.n = link.n + 1;
	return link.n;
end

-- A counted notice of a host, as text
function hand_over(n, xml)
	enqueue({ n = n, xml = xml });
end

-- Uncounted notice of a host
function tell(host, element)
	write(st.message({ from = host, to = module.host }):add_child(element));
end

-- The served host in whose name rooms speak: that of their domain, or any
function get_host_of(rooms)
	local parent = rooms:match("%.(.+)");
	return served[parent] and parent or next(served);
end

function get_stream()
	return link.stream;
end

local function forget(h)
	local oldest = link.queue:peek();
	while oldest and (oldest.n or 0) <= h do
		link.queue:pop();
		oldest = link.queue:peek();
	end
end

local function hand_over_again()
	refill(function (item)
		write(item.xml);
		return item.n;
	end);
end

-- The queue goes out once per stream, or again to a host that starts over
function greet(host, epoch, h)
	if epoch == link.epoch and h then forget(h); end
	link.lapsed, link.since = false, time_now();
	tell(host, st.stanza("hello", {
		xmlns = xmlns_link; version = link_version; epoch = link.epoch;
		server = "Prosody "..prosody.version; dropped = ("%d"):format(link.dropped);
		grace = ("%g"):format(grace); buffer = ("%d"):format(buffer);
	}));
	local handed = next(link.greeted) and not link.greeted[host];
	link.greeted[host] = true;
	if not handed then hand_over_again(); end
	watch_grace();
end

function refuse_version(host, asked)
	module:log("error", "Component speaks version %q of the link, this module %q: no link", asked, link_version);
	link.refused = true;
	tell(host, st.stanza("refused", { xmlns = xmlns_link, version = link_version, asked = asked }));
end

function is_refused()
	return link.refused;
end

function acknowledge(h)
	forget(h);
	link.since = time_now();
	if link.lapsed then
		link.lapsed = false;
		each_served("renew");
	end
end

-- Stanzas to the component's own addresses

local counted_presence = { subscribe = true, subscribed = true, unsubscribe = true, unsubscribed = true };
local counted_message = { chat = true, normal = true };

local function is_counted(stanza)
	local kind = stanza.attr.type;
	return stanza.name == "message" and (kind == nil or counted_message[kind])
		or stanza.name == "presence" and counted_presence[kind];
end

local function take(event)
	local stanza = event.stanza;
	if stanza.name == "presence" then stanza = st.clone(stanza); end -- mod_presence sends the same object to others
	stanza.attr.xmlns = nil;
	if stanza:child_with_ns(xmlns_link) then
		report_forgery(stanza);
		stanza:maptags(function (tag) return tag.attr.xmlns ~= xmlns_link and tag or nil; end);
		if #stanza.tags == 0 and stanza.name ~= "presence" then return true; end
	end

	local is_linked = next(served) and not link.refused; -- otherwise mod_component does all
	if is_linked and (link.lapsed or is_full()) and (not link.stream or is_counted(stanza)) then
		bounce(stanza);
	elseif is_linked and is_counted(stanza) then
		local n = take_number();
		stanza:add_direct_child(st.stanza("handed", { xmlns = xmlns_link, n = ("%d"):format(n) }));
		enqueue({ n = n, xml = tostring(stanza), stanza = stanza });
	elseif link.stream then
		write(stanza);
	elseif is_linked then
		enqueue({ xml = tostring(stanza), stanza = stanza });
	else
		return;
	end
	return true;
end

-- mod_iq, at 0, gives requests to other modules of the Component; those may answer nothing in the component's stead.
-- It also gives answers to those that asked: they come first.
local function take_request(event)
	local kind = event.stanza.attr.type;
	if kind == "get" or kind == "set" then return take(event); end
end

-- A stanza of the component that must not be delivered twice

local function drop_repeated(event)
	local stanza = event.stanza;
	if event.origin ~= link.stream then return; end
	local once = stanza:get_child("once", xmlns_link);
	if not once then return; end
	stanza:remove_children("once", xmlns_link);
	local id = once.attr.id or "";
	if link.once_ids:get(id) then return true; end
	link.once_ids:set(id, true);
end

-- A restart of the server must not forget them: what the component has no confirmation of it sends again.
-- Nor what waits for the component: its senders believe it delivered.
local function write_link()
	local ids, queue = {}, {};
	for id in link.once_ids:items() do table.insert(ids, 1, id); end -- oldest first
	for _, item in link.queue:items() do
		if item.n then table.insert(queue, { n = item.n, xml = item.xml, is_own = item.stanza and true }); end
	end
	module:open_store("rapport_link"):set(nil, { epoch = link.epoch, n = link.n, dropped = link.dropped, ids = ids, queue = queue });
end

local function read_link()
	local store = module:open_store("rapport_link");
	local saved = store:get(nil);
	if not saved then return; end
	for _, id in ipairs(saved.ids) do link.once_ids:set(id, true); end
	if not saved.epoch then return; end
	link.epoch, link.n, link.dropped = saved.epoch, saved.n, saved.dropped;
	link.queue = new_queue(math.max(buffer, #saved.queue));
	for _, item in ipairs(saved.queue) do
		link.queue:push({ n = item.n, xml = item.xml, stanza = item.is_own and parse_xml(item.xml) or nil });
	end
	store:set(nil, { ids = saved.ids }); -- a crash loses the count: what comes after it is counted anew
end

-- mod_component fires no event for what the component sends: the recipient's host does
local function watch_recipients(host)
	for _, name in ipairs({ "message", "presence", "iq" }) do
		for _, kind in ipairs({ "bare", "full", "host" }) do
			module:hook_object_event(hosts[host].events, name.."/"..kind, drop_repeated, 1000);
		end
	end
end

local function on_connected(event)
	link.stream, link.greeted, link.refused = event.session, {}, false;
	link.lapsed, link.since = false, time_now();
	watch_grace();
end

-- Also fired for a connection that was refused
local function on_disconnected(event)
	if event.session ~= link.stream then return; end
	link.stream, link.greeted, link.refused, link.since = nil, {}, false, time_now();
	watch_grace();
	each_served("link_lost");
end

function attach(host)
	served[host] = true;
	read_settings();
end

function detach(host)
	served[host] = nil;
end

local function load_on_component()
	for _, kind in ipairs({ "bare", "full", "host" }) do
		module:hook("message/"..kind, take, 0.5);
		module:hook("presence/"..kind, take, 0.5);
		module:hook("iq/"..kind, take_request, 0.5);
		module:hook("iq/"..kind, take, -0.9);
	end
	module:hook("route/remote", drop_repeated, 1000);
	module:hook_global("config-reloaded", read_settings);
	module:hook("component-authenticated", on_connected);
	module:hook("component-disconnected", on_disconnected);
	module:hook_global("host-activated", watch_recipients);
	module:hook_global("server-cleanup", write_link);
	read_settings();
	for host, host_session in pairs(hosts) do
		watch_recipients(host);
		local other = host_session.modules.rapport;
		if other and other.served_by == module.host then attach(host); end
	end
end

---- The VirtualHost's instance --------------------------------------------------------------------------------

local component = not is_component and jid_prep(module:get_option_string("rapport_component")) or false;
served_by = not is_rooms and component; -- seen by the Component's instance

local gates; -- map store: user name -> true, for the host as a whole
local blocklists; -- of mod_blocklist

local state = { -- survives a reload
	up = false; -- the link of this host: between ready and the loss
	down_since = time_now();
	open = false; -- failed open: plain XMPP runs
	gated = {}; -- user name -> true
	named = nil; -- user name -> true, between hello and ready
	sent = new_cache(max_remembered_messages); -- tapped messages to remote recipients
};

local function get_link()
	local host_session = hosts[component];
	return host_session and host_session.type == "component" and host_session.modules.rapport;
end

local function grace_of_link()
	local other = get_link();
	return other and other.get_grace() or module:get_option_number("rapport_grace") or default_grace;
end

local function notify(element)
	if state.up then get_link().tell(module.host, element); end
end

-- put_rest puts the attributes and content of that element
local function notify_counted(name, put_rest, ...)
	local other = get_link();
	local host = other and (is_rooms and other.get_host_of(module.host) or module.host);
	local n = host and other.take_number();
	if not n then return; end
	put("<message from='"); put(host); put("' to='"); put(component); put("'><");
	put(name); put(" xmlns='urn:x-rapport:link:0' n='"); put(("%d"):format(n)); put("'");
	put_rest(...);
	put("</"); put(name); put("></message>");
	other.hand_over(n, take_text());
end

local function put_empty(attr)
	put_attributes(attr);
	put(">");
end

-- The reduced message: each rule puts what is kept of an element

local function put_top(tag)
	put("<"); put(tag.name); put_attributes(tag.attr); put("/>");
end

local function put_with_empty(child_name)
	return function (tag)
		local child = tag:child_with_name(child_name);
		if not child then return put_top(tag); end
		put("<"); put(tag.name); put_attributes(tag.attr); put(">");
		put_top(child);
		put("</"); put(tag.name); put(">");
	end
end

local function only(rules)
	return function (tag)
		local rule = rules[tag.name];
		if rule then rule(tag); end
	end
end

local function has_text(tag)
	return (tag:get_text() or "") ~= "";
end

local reduced = {
	["jabber:client"] = only({ body = function (tag) if has_text(tag) then put_top(tag); end end });
	["urn:xmpp:eme:0"] = put_top;
	["urn:xmpp:omemo:2"] = only({ encrypted = put_with_empty("payload") });
	["eu.siacs.conversations.axolotl"] = only({ encrypted = put_with_empty("payload") });
	["urn:xmpp:chat-markers:0"] = put_top;
	["urn:xmpp:message-correct:0"] = put_top;
	["urn:xmpp:message-retract:0"] = put_top;
	["urn:xmpp:message-retract:1"] = put_top;
	["urn:xmpp:fasten:0"] = put_with_empty("retract");
	["urn:xmpp:delay"] = put_top;
	["jabber:x:delay"] = put_top;
	["urn:xmpp:sid:0"] = only({ ["origin-id"] = put_top });
	["urn:xmpp:receipts"] = put_top;
	["urn:xmpp:reply:0"] = put_top;
	["urn:xmpp:attention:0"] = put_top;
	["jabber:x:oob"] = put_top;
	["urn:xmpp:sfs:0"] = put_top;
	["jabber:x:conference"] = function (tag) put("<"); put(tag.name); put(" xmlns='jabber:x:conference'/>"); end;
	["urn:xmpp:mam:2"] = only({ result = put_top });
	["urn:xmpp:carbons:2"] = only({ sent = put_top, received = put_top });
};

-- Of what is said in rooms the text is told, and whom it names
local reduced_in_rooms = setmetatable({
	["jabber:client"] = only({
		body = function (tag)
			if not has_text(tag) then return; end
			put("<body"); put_attributes(tag.attr); put(">");
			put(xml_escape(tag:get_text()));
			put("</body>");
		end;
	});
	["urn:xmpp:reference:0"] = put_top;
}, { __index = reduced });

-- mod_mam puts its id behind those that the sender made up (0.12.3 leaves them in)
local function find_archive_id(stanza, owner)
	for i = #stanza.tags, 1, -1 do
		local tag = stanza.tags[i];
		if tag.name == "stanza-id" and tag.attr.xmlns == "urn:xmpp:sid:0" and tag.attr.by == owner then return tag; end
	end
end

local function put_reduced(stanza, rules, from, to, archive_id)
	put("<message xmlns='jabber:client'");
	put_attribute("from", from);
	put_attribute("to", to);
	if stanza.attr.id then put_attribute("id", stanza.attr.id); end
	if stanza.attr.type then put_attribute("type", stanza.attr.type); end
	put(">");
	for _, tag in ipairs(stanza.tags) do
		local rule = tag == archive_id and put_top or rules[tag.attr.xmlns or "jabber:client"];
		if rule then rule(tag); end
	end
	put("</message>");
end

-- RFC 6121, 5.2.2: an unknown type is normal
local untapped_types = { error = true, groupchat = true, headline = true };

local function is_content(tag)
	local xmlns, name = tag.attr.xmlns, tag.name;
	return xmlns == nil and name == "body" and has_text(tag)
		or xmlns == "urn:xmpp:eme:0" and name == "encryption"
		or (xmlns == "urn:xmpp:omemo:2" or xmlns == "eu.siacs.conversations.axolotl") and name == "encrypted"
		or xmlns == "urn:xmpp:chat-markers:0" and name == "displayed";
end

local function has_content(stanza)
	for _, tag in ipairs(stanza.tags) do
		if is_content(tag) then return true; end
	end
	return false;
end

-- Whether it is tapped, and the recipient's user name
local function is_tapped(stanza)
	local from, to = stanza.attr.from, stanza.attr.to;
	if untapped_types[stanza.attr.type] or not to or not from then return false; end
	local from_user, from_host = jid_split(from);
	local to_user, to_host = jid_split(to);
	if from_host == served_by or to_host == served_by or from_user == to_user and from_host == to_host then return false; end
	return has_content(stanza), to_user;
end

local function put_tap(stanza, at, archive_id)
	put_attribute("at", instant(at));
	put(">");
	put_reduced(stanza, reduced, stanza.attr.from, stanza.attr.to, archive_id);
end

local function tap(stanza, user, at)
	local archive_id = hosts[module.host].modules.mam and find_archive_id(stanza, user.."@"..module.host);
	notify_counted("tap", put_tap, stanza, at, archive_id);
end

-- Messages to local users: which ones mod_message has accepted is known when it is done

-- The stanza that is on its way through mod_message, if it is one to tap, and its recipient's user name
local delivered, delivered_to;
local refused; -- the last stanza that could not be stored offline

local function before_delivery(event)
	local is_wanted, user = is_tapped(event.stanza);
	if is_wanted then delivered, delivered_to = event.stanza, user; end
end

local function watch_offline(fire, name, event)
	local stored = fire(name, event);
	if not stored then refused = event.stanza; end
	return stored;
end

local report_bounce; -- below

local function watch_delivery(fire, name, event)
	local at = time_now();
	local outer, outer_to = delivered, delivered_to;
	delivered = nil;
	local result = fire(name, event);
	local stanza, user = delivered, delivered_to;
	delivered, delivered_to = outer, outer_to;
	if stanza then
		if stanza ~= refused and user_exists(user, module.host) then tap(stanza, user, at); end
	elseif event.stanza.attr.type == "error" then
		report_bounce(event.stanza, at);
	end
	return result;
end

-- Messages to remote users, where mod_mam has archived them and before it strips its id

local function is_served(host)
	local other = hosts[host] and instance(host);
	return other and other.served_by == component;
end

local function message_key(from, to, id)
	return from.."\n"..to.."\n"..id;
end

local function watch_sending(event)
	local stanza = event.stanza;
	local attr = stanza.attr;
	if not attr.to or is_served(jid_host(attr.to)) or not is_tapped(stanza) then return; end
	tap(stanza, event.origin.username, time_now());
	if attr.id then state.sent:set(message_key(attr.from, attr.to, attr.id), true); end
end

function report_bounce(stanza, at)
	local from, to, id = stanza.attr.to, stanza.attr.from, stanza.attr.id;
	local key = from and to and id and message_key(from, to, id);
	if not key or not state.sent:get(key) then return; end
	state.sent:set(key, nil);
	notify_counted("bounce", put_empty, { at = instant(at), from = from, to = to, id = id });
end

-- Read states (XEP-0490)

local xmlns_displayed = "urn:xmpp:mds:displayed:0";

local function on_read(event)
	local user, contact = event.service.config.pep_username, jid_prep(event.id);
	local stanza_id = event.item:find("{"..xmlns_displayed.."}displayed/{urn:xmpp:sid:0}stanza-id");
	if not user or not contact or not stanza_id or not stanza_id.attr.id then return; end
	notify_counted("read", put_empty, {
		at = instant(time_now()); user = user.."@"..module.host; contact = contact;
		id = stanza_id.attr.id; by = stanza_id.attr.by;
	});
end

-- Changes of rosters, block lists and accounts

local blocklist_cache = new_cache(max_cached_blocklists);
local changes = {}; -- user name -> what -> true, until they are told

local tell_changes; -- below

local function changed(user, what)
	blocklist_cache:set(user, nil);
	if not next(changes) then module:add_timer(settle, function () tell_changes(); end); end
	changes[user] = changes[user] or {};
	changes[user][what] = true;
end

local function on_block(event)
	changed(event.origin.username, "blocks");
end

local watched_stores = { roster = "roster", blocklist = "blocks" };

-- All ways to change a roster end in a store that rostermanager opens anew each time
local function watch_store(event)
	local what, store = watched_stores[event.store_name], event.store;
	if not what then return; end
	event.store = setmetatable({}, { __index = store });
	for _, method in ipairs({ "set", "set_key", "set_keys" }) do
		if store[method] then
			event.store[method] = function (_, user, ...)
				local ok, err = store[method](store, user, ...);
				if ok then module:fire_event("rapport/stored", { user = user, what = what }); end
				return ok, err;
			end
		end
	end
end

-- Own presence of the sessions; what Rapport knows of a session stands in session.rapport

-- What a contact was shown: { key, as, v }. These stand for what is to be forgotten:
local directed = { key = "nothing" }; -- the user sent something else
local probed = { key = "nothing", is_probe = true }; -- the contact asks anew
local probed_offline = { key = "nothing", is_probe = true, as = "offline" };
local withheld = { key = "nothing" }; -- the user blocks the contact
local unseen = { key = "nothing", as = "offline" }; -- the session came while its gate was closed

local function get_state(session)
	local known = session.rapport;
	if not known then
		-- A later session of the same JID has a higher v
		known = { v = os.time(), truth = true, shown = {}, current = session.presence };
		session.rapport = known;
	end
	return known;
end

local function forget_shown(session, contact)
	local shown = get_state(session).shown;
	local seen = shown[contact];
	shown[contact] = seen and seen.as == "offline" and probed_offline or probed;
end

-- All contacts see the session as it is
local function set_truth(session)
	local known = get_state(session);
	known.truth, known.shown, known.initial = true, {}, nil;
end

local function is_holding(user)
	return state.gated[user] and not state.open;
end

local function available_sessions(user)
	local found = {};
	local sessions = hosts[module.host].sessions[user];
	for _, session in pairs(sessions and sessions.sessions or {}) do
		if session.presence then table.insert(found, session); end
	end
	return found;
end

-- mod_presence has put a delay into what it keeps of a presence, for those who ask later; a broadcast has none
local function is_stamp(child)
	return child.name == "delay" and child.attr.xmlns == "urn:xmpp:delay" and child.attr.from == module.host;
end

-- Replaces the children of that name, where the first of them stands, or else at the front
local function replace(children, name, by)
	local place = 1;
	for i = #children, 1, -1 do
		local child = children[i];
		if child.name == name and not child.attr.xmlns then
			table.remove(children, i);
			place = i;
		end
	end
	for i, element in ipairs(by) do
		table.insert(children, place + i - 1, element);
	end
end

-- A session's own presence with another show; the children are shared with it, for nobody changes them
local function tailor(own, as, statuses, stamped)
	local tailored, children = st.clone(own, true), {};
	tailored.attr.to = nil;
	if as == "offline" then
		tailored = st.presence({ from = own.attr.from, type = "unavailable" });
	else
		for _, child in ipairs(own) do
			if stamped or not is_stamp(child) then table.insert(children, child); end
		end
	end
	if #statuses > 0 then replace(children, "status", statuses); end
	if as ~= "own" then
		local has_show = as ~= "online" and as ~= "offline";
		replace(children, "show", has_show and { st.stanza("show"):text(as) } or {});
	end
	for _, child in ipairs(children) do tailored:add_direct_child(child); end
	return tailored;
end

local function add_shown(notice, shown)
	local by_key = {};
	for contact, seen in pairs(shown) do
		local element = by_key[seen.key];
		if not element then
			element = st.stanza("shown", { xmlns = xmlns_link, key = seen.key });
			by_key[seen.key] = element;
			notice:add_direct_child(element);
		end
		element:add_direct_child(st.stanza("to", { xmlns = xmlns_link, jid = contact }));
	end
end

local function tell_session(session, with_shown)
	if not state.up then return; end
	local known = get_state(session);
	local presence = tailor(known.current, "own", {});
	presence.attr.xmlns = "jabber:client";
	local notice = st.stanza("session", {
		xmlns = xmlns_link; jid = session.full_jid; v = ("%d"):format(known.v); truth = known.truth and "1" or "0";
	}):add_child(presence);
	if with_shown and state.gated[session.username] then
		notice.attr.shown = "1";
		add_shown(notice, known.shown);
	end
	notify(notice);
end

local function tell_gone(session)
	local known = session.rapport;
	if not known or not known.current then return; end
	known.v, known.current = known.v + 1, nil;
	notify(st.stanza("session", { xmlns = xmlns_link, jid = session.full_jid, v = ("%d"):format(known.v), gone = "1" }));
end

-- Just before mod_presence broadcasts it
local function on_own_presence(event)
	local stanza, session = event.stanza, event.origin;
	if stanza.attr.to or not session.full_jid then return; end
	if stanza.attr.type == "unavailable" then
		tell_gone(session);
	elseif stanza.attr.type == nil then
		local known = get_state(session);
		if not known.current then known.shown, known.initial = {}, unseen; end -- all have seen it unavailable
		known.v, known.current, known.truth = known.v + 1, stanza, false;
		if not is_holding(session.username) then set_truth(session); end
		tell_session(session);
	end
end

-- Speaking in a user's name

local speaking; -- the presence that is being sent so, which no gate holds

-- As mod_presence sends a broadcast: the same checks, at the same cost
local function speak(session, presence, contact)
	local outer = speaking;
	speaking = presence;
	presence.attr.to = contact;
	core_post_stanza(session, presence, true);
	speaking = outer;
end

local function get_blocklist(user)
	local blocklist = blocklist_cache:get(user);
	if not blocklist then
		blocklist = hosts[module.host].modules.blocklist and blocklists:get(user) or {};
		blocklist_cache:set(user, blocklist);
	end
	return blocklist;
end

local function is_subscribed(item)
	return item and (item.subscription == "from" or item.subscription == "both");
end

-- The roster, and whether a contact in it may see the user's presence, or may not because of a block
local function audience(user)
	local roster, blocklist = load_roster(user, module.host), get_blocklist(user);
	return roster, function (contact)
		if not contact or not is_subscribed(roster[contact]) then return false, false; end
		local is_blocked = blocklist[contact] or blocklist[jid_bare(contact)] or blocklist[jid_host(contact)];
		return not is_blocked, is_blocked;
	end
end

local function has_seen_truth(known, contact)
	local seen = known.shown[contact];
	if not seen then return known.truth; end
	return seen.as == "own" and seen.v == known.v;
end

local function show_truth(session)
	local known = get_state(session);
	local presence = tailor(known.current, "own", {});
	local roster, may_see = audience(session.username);
	for contact in pairs(roster) do
		if may_see(contact) and not has_seen_truth(known, contact) then
			speak(session, presence, contact);
		end
	end
	set_truth(session);
end

-- The gate

local function on_outgoing_presence(event)
	local session, stanza = event.origin, event.stanza;
	local to, kind = stanza.attr.to, stanza.attr.type;
	if not to or stanza == speaking or not is_holding(session.username) then return; end
	local contact, user_jid = jid_bare(to), session.username.."@"..module.host;
	if contact == user_jid then return; end
	local known = get_state(session);
	if kind == "unavailable" then
		local seen = known.shown[contact];
		if seen and seen.as == "offline" then return true; end
	elseif kind == nil and stanza == known.current then
		-- After the broadcast mod_presence sends it only to one who was approved, or subscribes once more
		if stanza == session.presence then
			forget_shown(session, contact);
			notify(st.stanza("probe", { xmlns = xmlns_link, from = to, to = user_jid }));
		end
		return true;
	elseif kind == nil and is_subscribed(session.roster[contact]) then
		known.shown[contact] = directed;
	end
end

local function on_probe(event)
	local stanza = event.stanza;
	if stanza.attr.type ~= "probe" then return; end
	local user, user_jid, contact = jid_node(stanza.attr.to), jid_bare(stanza.attr.to), jid_bare(stanza.attr.from);
	if not is_holding(user) or contact == user_jid or not is_contact_subscribed(user, module.host, contact) then return; end
	local sessions = available_sessions(user);
	if #sessions == 0 then return; end
	for _, session in ipairs(sessions) do
		forget_shown(session, contact);
	end
	notify(st.stanza("probe", { xmlns = xmlns_link, from = stanza.attr.from, to = user_jid }));
	return true;
end

-- mod_blocklist probes in the name of who is no longer blocked, but not of a domain's users
local function ask_for_unblocked(user)
	local _, may_see = audience(user);
	local asking = {};
	for _, session in ipairs(available_sessions(user)) do
		for contact, seen in pairs(get_state(session).shown) do
			if seen == withheld and may_see(contact) then
				forget_shown(session, contact);
				asking[contact] = true;
			end
		end
	end
	for contact in pairs(asking) do
		notify(st.stanza("probe", { xmlns = xmlns_link, from = contact, to = user.."@"..module.host }));
	end
end

function tell_changes()
	local told = changes;
	changes = {};
	for user, whats in pairs(told) do
		if whats.blocks and is_holding(user) then ask_for_unblocked(user); end
		for what in pairs(whats) do
			notify_counted("changed", put_empty, { user = user, what = what });
		end
	end
end

-- user name -> true or false, as far as that is new
local function set_gates(gated)
	local news = {};
	for user, on in pairs(gated) do
		if on ~= (state.gated[user] or false) then
			state.gated[user] = on or nil;
			news[user] = on or gates.remove;
		end
	end
	if not next(news) then return; end
	local ok, err = gates:set_keys(nil, news);
	if not ok then module:log("error", "Could not store who is gated: %s", err); end
end

-- In steps, so that a large host does other things meanwhile
local function show_truth_to_all(users)
	local shown = 0;
	while state.open and #users > 0 and shown < 20 do
		for _, session in ipairs(available_sessions(table.remove(users))) do
			show_truth(session);
			shown = shown + 1;
		end
	end
	return state.open and #users > 0 and 0.02 or nil;
end

local function gated_users()
	local users = {};
	for user in pairs(state.gated) do table.insert(users, user); end
	return users;
end

function open_gates()
	state.up = false;
	if state.open then return; end
	state.open = true;
	local users = gated_users();
	module:log("warn", "Gates open until the component is back: %d users", #users);
	module:add_timer(0, function () return show_truth_to_all(users); end);
end

local missing_timer;

local function on_link_missing()
	missing_timer = nil;
	if state.up or state.open then return; end
	local rest = state.down_since + grace_of_link() - time_now();
	if rest > 0 then
		missing_timer = module:add_timer(rest, on_link_missing);
	else
		open_gates();
	end
end

local function watch_missing()
	missing_timer = missing_timer or module:add_timer(grace_of_link(), on_link_missing);
end

function link_lost()
	if state.up then
		state.up, state.down_since = false, time_now();
		module:log("info", "Link with %s lost", served_by);
	end
	state.named = nil;
	watch_missing();
end

function renew()
	get_link().tell(module.host, st.stanza("renew", { xmlns = xmlns_link }));
end

-- What the component says; a reason is given back where it is not understood

local commands = {};

function commands.hello(element)
	local other, version = get_link(), element.attr.version or "";
	if version ~= link_version then
		other.refuse_version(module.host, version);
		return;
	end
	link_lost();
	state.named = {};
	other.greet(module.host, element.attr.epoch, tonumber(element.attr.h));
end

function commands.ack(element)
	local h = tonumber(element.attr.h);
	if not h then return "h is no number"; end
	get_link().acknowledge(h);
end

function commands.gate(element)
	local on = element.attr.on == "1";
	if not on and element.attr.on ~= "0" then return "on is neither 0 nor 1"; end
	local gated = {};
	for each in element:childtags("user", xmlns_link) do
		local user = nodeprep(each.attr.name or "");
		if not user or user == "" then return "a user without a valid name"; end
		gated[user] = on;
	end
	set_gates(gated);
	for user in pairs(gated) do
		if state.named then state.named[user] = on or nil; end
		for _, session in ipairs(available_sessions(user)) do
			if on then
				tell_session(session, true);
			else
				set_truth(session);
			end
		end
	end
end

function commands.ready()
	if not state.named then return "no hello before it"; end
	local ungated = {};
	for user in pairs(state.gated) do
		if not state.named[user] then
			ungated[user] = false;
			for _, session in ipairs(available_sessions(user)) do show_truth(session); end
		end
	end
	set_gates(ungated);
	state.up, state.open, state.named = true, false, nil;
	module:log("info", "Link with %s is up, %d users gated", served_by, #gated_users());
	for user in pairs(hosts[module.host].sessions) do
		for _, session in ipairs(available_sessions(user)) do
			tell_session(session, true);
		end
	end
	notify(st.stanza("ready", { xmlns = xmlns_link }));
end

local outcomes = { own = true, chat = true, online = true, away = true, xa = true, dnd = true, offline = true };

function commands.show(element)
	local attr = element.attr;
	if not outcomes[attr.as] then return "as is no outcome"; end
	if not attr.key then return "no key"; end
	local session = full_sessions[attr.jid];
	if not state.up or not session or session.host ~= module.host or not state.gated[session.username] or not session.presence then
		return; -- what made it so has been told, or will be
	end
	local known = get_state(session);
	if tonumber(attr.v) ~= known.v then
		-- The component takes it as shown, until told what is
		if known.corrected ~= known.v then
			known.corrected = known.v;
			tell_session(session, true);
		end
		return;
	end

	local statuses = {};
	for status in element:childtags("status", xmlns_link) do
		table.insert(statuses, st.stanza("status", { ["xml:lang"] = status.attr["xml:lang"] }):text(status:get_text()));
	end
	local seen = { key = attr.key, as = attr.as, v = known.v };
	local _, may_see = audience(session.username);
	local as_broadcast, as_answer = tailor(known.current, attr.as, statuses);
	for to in element:childtags("to", xmlns_link) do
		local contact, presence = to.attr.jid, as_broadcast;
		local is_shown, is_blocked = may_see(contact);
		if is_shown then
			local before = known.shown[contact] or known.initial;
			local is_known = before and (before.key == attr.key or before.as == "offline" and attr.as == "offline");
			if before and before.is_probe then
				as_answer = as_answer or tailor(known.current, attr.as, statuses, true);
				presence = as_answer;
			end
			if not is_known then speak(session, presence, contact); end
			known.shown[contact] = seen;
		elseif is_blocked then
			known.shown[contact] = withheld;
		end
	end
end

local function is_from_component(event)
	return event.origin == get_link().get_stream() and event.stanza.attr.from == served_by;
end

local function on_message(event)
	local stanza = event.stanza;
	local element, other = stanza:child_with_ns(xmlns_link), get_link();
	if not element or not other then return; end
	if not is_from_component(event) then
		report_forgery(stanza);
	elseif stanza.attr.type ~= "error" and (element.name == "hello" or not other.is_refused()) then
		local command = commands[element.name];
		local reason = not command and "unknown" or command and command(element);
		if reason then
			other.tell(module.host, st.stanza("refused", { xmlns = xmlns_link, name = element.name, reason = reason }));
		end
	end
	return true;
end

-- Requests

local function on_iq(event)
	local payload = event.stanza.tags[1];
	if payload and payload.attr.xmlns == xmlns_link and get_link() and not is_from_component(event) then
		report_forgery(event.stanza);
		return true;
	end
end

local function refuse_request(event, condition, text)
	event.origin.send(st.error_reply(event.stanza, "cancel", condition, text));
end

-- answer (event, user, query, result) fills the result, or gives back an error condition and text
local function on_request(name, answer)
	module:hook("iq-get/host/"..xmlns_link..":"..name, function (event)
		local query = event.stanza.tags[1];
		local user = nodeprep(query.attr.user or "");
		local condition, text = "item-not-found", "No such user";
		if user and user ~= "" and user_exists(user, module.host) then
			local result = st.stanza(name, { xmlns = xmlns_link, user = user });
			condition, text = answer(user, query, result);
			if not condition then
				event.origin.send(st.reply(event.stanza):add_child(result));
				return true;
			end
		end
		refuse_request(event, condition, text);
		return true;
	end);
end

local function answer_roster(user, _, result)
	local roster, err = load_roster(user, module.host);
	if err then return "internal-server-error", err; end
	for contact, item in pairs(roster) do
		if contact and type(item) == "table" then
			result:tag("item", { jid = contact, name = item.name or nil, subscription = item.subscription or "none" });
			for group in pairs(item.groups or {}) do result:text_tag("group", group); end
			result:up();
		end
	end
end

local function answer_blocks(user, _, result)
	for blocked in pairs(get_blocklist(user)) do
		if blocked then result:tag("item", { jid = blocked }):up(); end
	end
end

local function answer_history(user, query, result)
	if not hosts[module.host].modules.mam then return "feature-not-implemented", "No archive"; end
	local archive = module:open_store(module:get_option_string("archive_store", "archive"), "archive");
	local max = math.min(math.max(tonumber(query.attr.max) or 100, 1), max_history_page);
	local after = query.attr.after;
	local items, total = archive:find(user, { after = after; limit = max + 1; total = not after });
	if not items then return total == "item-not-found" and total or "internal-server-error", "Archive: "..tostring(total); end
	local read, last = 0, nil;
	for id, item, when in items do
		read = read + 1;
		if read > max then break; end
		last = id;
		local stanza = st.is_stanza(item) and item or st.deserialize(item);
		if is_tapped(stanza) then
			put_reduced(stanza, reduced, stanza.attr.from, stanza.attr.to);
			result:tag("tap", { xmlns = xmlns_link, id = id, at = instant(when) }):add_child(parse_xml(take_text())):up();
		end
	end
	result.attr.last, result.attr.complete = last, read <= max and "1" or nil;
	result.attr.count = tonumber(total) and ("%d"):format(total);
end

local function on_user_deleted(event)
	if event.host ~= module.host then return; end
	set_gates({ [event.username] = false });
	changed(event.username, "account");
end

-- What is said in rooms

-- Users of served hosts, with their nicks: occupants, and who else belongs to the room
local function put_members(room)
	local present, n = {}, 0;
	local function put_member(jid, nick)
		if n == max_members or not is_served(jid_host(jid)) then return; end
		n = n + 1;
		put("<member"); put_attribute("jid", jid);
		if nick then put_attribute("nick", nick); end
		put("/>");
	end
	for occupant_jid, occupant in room:each_occupant() do
		local _, _, nick = jid_split(occupant_jid);
		present[occupant.bare_jid] = true;
		put_member(occupant.bare_jid, nick);
	end
	for jid, affiliation, data in room:each_affiliation() do
		if n == max_members then break; end
		if affiliation ~= "outcast" and not present[jid] then put_member(jid, data and data.reserved_nickname); end
	end
end

local function put_room_tap(room, stanza, author, archive_id)
	put_attribute("at", instant(time_now()));
	put(">");
	put_reduced(stanza, reduced_in_rooms, author, room.jid, archive_id);
	put_members(room);
end

local function on_room_message(event)
	local room, stanza = event.room, event.stanza;
	local author = room:get_occupant_by_nick(stanza.attr.from);
	if not author or stanza.attr.type ~= "groupchat" or not has_content(stanza) then return; end
	local archive_id = hosts[module.host].modules.muc_mam and find_archive_id(stanza, room.jid);
	notify_counted("tap", put_room_tap, room, stanza, author.jid, archive_id);
end

local function load_on_rooms()
	module:hook("muc-broadcast-message", on_room_message, -1); -- mod_muc_mam has archived it at 0
end

local function load_on_host()
	gates, blocklists = module:open_store(nil, "map"), module:open_store("blocklist");
	for user in pairs(module:open_store():get(nil) or {}) do state.gated[user] = true; end

	for _, kind in ipairs({ "bare", "full" }) do
		module:wrap_event("message/"..kind, watch_delivery);
		module:hook("message/"..kind, before_delivery, -0.99); -- mod_message is at -1
		module:hook("presence/"..kind, on_probe, 1);
	end
	module:wrap_event("message/offline/handle", watch_offline);
	for _, kind in ipairs({ "bare", "full", "host" }) do
		module:hook("pre-message/"..kind, watch_sending, -0.99); -- mod_mam archives at 0, strips at -1
		module:hook("pre-presence/"..kind, on_outgoing_presence, 200);
	end
	module:hook("presence/bare", on_own_presence, 0.1); -- mod_presence is at 0
	module:hook("resource-unbind", function (event) tell_gone(event.session); end, -1);
	module:handle_items("pep-service", function (event)
		module:hook_object_event(event.item.service.events, "item-published/"..xmlns_displayed, on_read);
	end, function (event)
		module:unhook_object_event(event.item.service.events, "item-published/"..xmlns_displayed, on_read);
	end);

	module:hook("store-opened", watch_store);
	module:hook("rapport/stored", function (event) changed(event.user, event.what); end);
	module:hook("iq-set/self/urn:xmpp:blocking:block", on_block);
	module:hook("iq-set/self/urn:xmpp:blocking:unblock", on_block);
	module:hook_global("user-deleted", on_user_deleted);

	module:hook("message/host", on_message, 1);
	module:hook("iq/host", on_iq, 1); -- mod_iq is at 0
	on_request("roster", answer_roster);
	on_request("blocks", answer_blocks);
	on_request("history", answer_history);
end

---- Loading ----------------------------------------------------------------------------------------------------

-- One line that names what is missing
local function report_missing()
	if is_component and not next(served) then
		module:log("error", "No VirtualHost names this component: put \"rapport\" into modules_enabled there, and rapport_component = %q",
			module.host);
	elseif not is_component and not component then
		module:log("error", "rapport_component is not set to the JID of the component: mod_rapport does nothing on this host");
	elseif not is_component and not get_link() then
		module:log("error", "No mod_rapport on the component: put \"rapport\" into modules_enabled of Component %q", component);
	end
end

-- Told apart from a reload, which keeps what it knows
local function start_on_component()
	read_link();
	local mod_component = hosts[module.host].modules.component;
	link.stream = mod_component and mod_component.session or nil;
	watch_grace();
	each_served("link_lost");
	if link.stream then each_served("renew"); end
end

local function start_on_host()
	link_lost();
	local other = get_link();
	if not other then return; end
	other.attach(module.host);
	if other.get_stream() then renew(); end
end

function module.load()
	if is_component then
		load_on_component();
	elseif is_rooms and component then
		load_on_rooms();
	elseif served_by then
		load_on_host();
	end
	if module.reloading then return; end
	module:add_timer(load_limit, report_missing);
	if is_component then
		start_on_component();
	elseif served_by then
		start_on_host();
	end
end

function module.save()
	tell_changes();
	return { link = link, state = state };
end

function module.restore(saved)
	link, state = saved.link, saved.state;
	if is_component then
		watch_grace();
	elseif served_by then
		watch_missing();
		if state.open then
			local users = gated_users();
			module:add_timer(0, function () return show_truth_to_all(users); end);
		end
	end
end

function module.unload()
	if module.reloading then return; end
	if is_component then
		bounce_waiting();
		each_served("link_lost");
	elseif served_by then
		state.open = true;
		for user, sessions in pairs(hosts[module.host].sessions) do
			for _, session in pairs(sessions.sessions) do
				if session.presence and state.gated[user] then show_truth(session); end
				session.rapport = nil;
			end
		end
		local other = get_link();
		if other then other.detach(module.host); end
	end
end
