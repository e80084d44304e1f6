-- Test rig only: answers the SRV look-ups of s2s for other private servers on 127.0.0.1, without DNS.
-- rig_peers = { ["other.localhost"] = PORT }

local adns = require "net.adns";

module:set_global();

local peers = module:get_option("rig_peers", {});
local real_resolver = adns.resolver;

local methods = {};
local mt = { __index = methods };

function methods:lookup(handler, qname, qtype, qclass)
	local host = qname:match("^_xmpp%-server%._tcp%.(.-)%.?$");
	if qtype == "SRV" and host and peers[host] then
		return handler({ { srv = { priority = 0; weight = 0; port = peers[host]; target = "127.0.0.1" } } });
	end
	return self.real:lookup(handler, qname, qtype, qclass);
end

function adns.resolver()
	return setmetatable({ real = real_resolver() }, mt);
end

function module.unload()
	adns.resolver = real_resolver;
end
