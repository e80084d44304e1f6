%%%----------------------------------------------------------------------
%%% File    : mod_rapport.erl
%%% Purpose : The server's half of the link to the Rapport component
%%%
%%% The contract is docs/link.md; the sections below follow its order.
%%%
%%% One gen_server owns the counter, the queue and everything that is written
%%% to the component. What is known of a session belongs to its own c2s
%%% process, which does `show' too: so a contact gets what is shown, the
%%% user's own presence and the end of the session in the order in which they
%%% came about. The hooks read ets tables, and who is gated from Mnesia.
%%%----------------------------------------------------------------------
-module(mod_rapport).
-behaviour(gen_mod).
-behaviour(gen_server).

%% gen_mod
-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
%% gen_server
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, code_change/3]).
%% hooks
-export([component_connected/1, component_disconnected/2, component_send_packet/1, ejabberd_stopping/0,
         filter_packet/1, sm_receive_packet/1,
         user_send_packet/1, user_receive_packet/1, offline_message/1, muc_filter_message/3, pubsub_publish_item/6,
         roster_in_subscription/2, remove_user/2, multicast_route/1,
         c2s_self_presence/1, c2s_handle_cast/2, c2s_copy_session/2, c2s_terminated/2, c2s_buried/2]).

-include("logger.hrl").
-include("xmpp.hrl").
-include("mod_roster.hrl").
-include("mod_privacy.hrl").
-include("mod_muc_room.hrl"). %% its record state is a room's

-define(NS_LINK, <<"urn:x-rapport:link:0">>).
-define(VERSION, <<"0">>).
-define(NS_EME, <<"urn:xmpp:eme:0">>).
-define(NS_OMEMO, <<"urn:xmpp:omemo:2">>).
-define(NS_AXOLOTL, <<"eu.siacs.conversations.axolotl">>).
-define(NS_FASTEN, <<"urn:xmpp:fasten:0">>).
-define(NS_REFERENCE, <<"urn:xmpp:reference:0">>).
-define(NS_MDS, <<"urn:xmpp:mds:displayed:0">>).

-define(COALESCE, 50).          %% ms in which changes of one user become one notice
-define(SILENCE, 30).           %% s in which a living component says something: it pings when it hears nothing
-define(LAST_WORDS, 1000).      %% ms that a server which stops waits for messages on their way to sessions
-define(FORGERY_LOG, 60000).    %% ms between two log lines about one forger
-define(MEMORY, 10000).         %% ids of `once', and tapped remote messages, that are remembered
-define(HISTORY_MAX, 1000).     %% entries of one page of history
-define(MEMBERS_MAX, 1000).     %% of a room that are told with a message: an owner can name any number
-define(NOTHING, <<"nothing">>). %% the key of what the component can't know: it showed something else, or nothing
-define(KEPT, {?MODULE, 2}).    %% names the state that outlives a hot reload, and its shape

-type microseconds() :: integer().
%% '_' in patterns only, as in the records below.
-type session_key() :: {Server :: binary() | '_', User :: binary() | '_', Resource :: binary() | '_'}.

%% Mnesia, on disc: who opted in.
-record(rapport_gate, {us              :: {binary() | '$1', binary()},
                       since           :: integer() | '_'}).

%% Mnesia, on disc: what the link was when the server stopped; epoch: undefined when that has been taken up.
-record(rapport_link, {component        :: binary(),
                       ids              :: [binary()],              %% of `once', the oldest first
                       epoch            :: binary() | undefined,
                       counter = 0      :: non_neg_integer(),
                       dropped = 0      :: non_neg_integer(),
                       queue = []       :: [{pos_integer(), notice | own, fxml:xmlel()}]}).

%% ets rapport_session: the sessions that are available; written by the session's own process.
-record(session, {key              :: session_key(),
                  pid              :: pid() | '_',
                  v                :: pos_integer() | '_',
                  truth            :: boolean() | '_',
                  held             :: boolean() | '_',
                  unseen = false   :: boolean() | '_',    %% came while its gate was closed
                  corrected = 0    :: non_neg_integer() | '_', %% the v in which a stale `show' was answered
                  presence         :: presence() | '_'}).

%% ets rapport_shown: what a contact was shown of a session, in place of what the server sent.
-record(shown, {id                 :: {session_key(), ljid() | '_'},
                key                :: binary() | '_',
                as                 :: own | offline | other | withheld | '_',
                v = 0              :: non_neg_integer() | '_',
                probed = false     :: boolean() | '_'}).

-record(show, {session             :: session_key(),
               v                   :: integer(),
               as                  :: own | offline | undefined | chat | away | xa | dnd,
               key                 :: binary(),
               status              :: [#text{}],
               to                  :: [ljid()]}).

-record(host, {ready = false       :: boolean(),
               timer               :: reference() | undefined,
               named               :: #{binary() => true} | undefined}). %% between hello and ready

%% In the queue: a notice, or a stanza to one of the component's own addresses (uncounted: N is undefined).
-type item() :: {N :: pos_integer() | undefined, notice | own, stanza()}.

-record(server, {component          :: binary(),
                 grace              :: pos_integer(),
                 buffer             :: pos_integer(),
                 epoch              :: binary(),
                 counter = 0        :: non_neg_integer(),
                 queue = queue:new() :: queue:queue(item()),
                 size = 0           :: non_neg_integer(),
                 dropped = 0        :: non_neg_integer(),
                 hosts = #{}        :: #{binary() => #host{}},
                 link               :: pid() | undefined,
                 greeted = []       :: [binary()],
                 refused            :: pid() | undefined,
                 standing_in = false :: boolean(),
                 gave_up = false    :: boolean(),
                 away_timer         :: reference() | undefined,
                 stall_timer        :: reference() | undefined,
                 changed = #{}      :: #{tuple() => true},
                 forgers = #{}      :: #{jid:ljid() => non_neg_integer()}}).

%%%===================================================================
%%% gen_mod
%%%===================================================================
-spec start(binary(), gen_mod:opts()) -> ok | {error, any()}.
start(Host, Opts) ->
    case gen_mod:start_child(?MODULE, Host, Opts, ?MODULE) of
        {ok, _} -> ok;
        {error, {already_started, _}} -> ok
    end,
    gen_server:call(?MODULE, {add_host, Host, Opts}).

-spec stop(binary()) -> ok.
stop(Host) ->
    %% module_uninstall stops it on hosts that never had it too.
    case gen_mod:is_loaded(Host, ?MODULE) of
        true -> gen_server:call(?MODULE, {remove_host, Host, is_configured(Host)});
        false -> ok
    end,
    case whereis(?MODULE) == undefined orelse gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true -> ok;
        false -> gen_mod:stop_child(?MODULE)
    end.

%% Without it we are unloaded for good, not restarted.
is_configured(Host) ->
    lists:keymember(?MODULE, 1, ejabberd_option:modules(Host)).

-spec reload(binary(), gen_mod:opts(), gen_mod:opts()) -> ok | {error, any()}.
reload(Host, NewOpts, OldOpts) ->
    case gen_mod:is_equal_opt(component, NewOpts, OldOpts) of
        true ->
            gen_server:call(?MODULE, {set_bounds, NewOpts});
        {false, _, _} ->
            stop(Host),
            start(Host, NewOpts)
    end.

-spec depends(binary(), gen_mod:opts()) -> [{module(), hard | soft}].
depends(_Host, _Opts) ->
    [{mod_roster, soft}].

-spec mod_opt_type(atom()) -> econf:validator().
mod_opt_type(component) -> econf:domain();
mod_opt_type(grace) -> econf:timeout(second);
mod_opt_type(buffer) -> econf:pos_int();
mod_opt_type(rooms) -> econf:bool().

-spec mod_options(binary()) -> [atom() | {atom(), any()}].
mod_options(_Host) ->
    [component,
     {grace, timer:seconds(30)},
     {buffer, 10000},
     {rooms, false}].

mod_doc() ->
    #{desc => <<"The server's half of Rapport: it gives the component 'component' what docs/link.md names.">>,
      opts =>
          [{component, #{value => "Domain", desc => <<"The domain of the Rapport component.">>}},
           {grace, #{value => "timeout()",
                     desc => <<"How long the component may be away until plain XMPP runs. Default: '30 s'.">>}},
           {buffer, #{value => "Number",
                      desc => <<"How many items are kept until the component has stored them. Default: '10000'.">>}},
           {rooms, #{value => "true | false",
                     desc => <<"Whether what is said in the rooms of the host is told, with its text. Default: 'false'.">>}}],
      example => ["modules:", "  mod_rapport:", "    component: rapport.example.org"]}.

host_hooks() ->
    [{user_send_packet, user_send_packet, 400},             %% mod_mam archives at 88, strips what it added at 500
     {user_receive_packet, user_receive_packet, 95},        %% after mod_mam (88) and mod_carboncopy (89)
     {offline_message_hook, offline_message, 60},           %% after mod_mam (49), mod_offline (50)
     {muc_filter_message, muc_filter_message, 90},          %% after mod_mam (50)
     {sm_receive_packet, sm_receive_packet, 90},
     {pubsub_publish_item, pubsub_publish_item, 50},
     {roster_in_subscription, roster_in_subscription, 90},
     {remove_user, remove_user, 90},
     {c2s_self_presence, c2s_self_presence, 110},           %% after all that change it
     {multicast_route, multicast_route, 50},
     {c2s_handle_cast, c2s_handle_cast, 50},
     {c2s_copy_session, c2s_copy_session, 90},
     {c2s_terminated, c2s_terminated, 90},                  %% the server says unavailable at 100
     {c2s_terminated, c2s_buried, 110}].

global_hooks() ->
    [{component_connected, component_connected, 50},
     {component_disconnected, component_disconnected, 50},
     {component_send_packet, component_send_packet, 50},
     {ejabberd_stopping, ejabberd_stopping, 50},
     {filter_packet, filter_packet, 100}].

%%%===================================================================
%%% gen_server
%%%===================================================================
init([Host, Opts]) ->
    process_flag(trap_exit, true),
    ejabberd_mnesia:create(?MODULE, rapport_gate,
                           [{disc_copies, [node()]}, {attributes, record_info(fields, rapport_gate)}]),
    ejabberd_mnesia:create(?MODULE, rapport_link,
                           [{disc_copies, [node()]}, {attributes, record_info(fields, rapport_link)}]),
    Component = gen_mod:get_opt(component, Opts),
    ets:new(rapport, [named_table, public, {read_concurrency, true}]),
    ets:new(rapport_session, [named_table, public, ordered_set, {keypos, #session.key}, {read_concurrency, true}]),
    ets:new(rapport_shown, [named_table, public, ordered_set, {keypos, #shown.id}]),
    ets:new(rapport_memory, [named_table, public]),
    ets:insert(rapport, {component, Component}),
    State = restore(Component, #server{component = Component,
                                      grace = gen_mod:get_opt(grace, Opts),
                                      buffer = gen_mod:get_opt(buffer, Opts),
                                      epoch = p1_rand:get_string()}),
    %% More than the host that is being started only after a crash.
    Hosts = lists:usort([Host | [H || H <- ejabberd_option:hosts(), gen_mod:is_loaded(H, ?MODULE)]]),
    {ok, lists:foldl(fun add_host/2, stand_in(wait_while_away(State)), Hosts)}.

handle_call({add_host, Host, Opts}, _From, #server{component = Component} = State) ->
    case gen_mod:get_opt(component, Opts) of
        Component ->
            {reply, ok, add_host(Host, State)};
        Other ->
            ?ERROR_MSG("mod_rapport of ~ts: component is ~ts, but another host's is ~ts; all must have the same",
                       [Host, Other, Component]),
            {reply, {error, {component, Other}}, State}
    end;
handle_call({remove_host, Host, StaysConfigured}, _From, #server{hosts = Hosts} = State) ->
    StaysConfigured orelse leave_plain(Host),
    [ejabberd_hooks:delete(Hook, Host, ?MODULE, Function, Priority) || {Hook, Function, Priority} <- host_hooks()],
    ets:delete(rapport, {host, Host}),
    Left = State#server{hosts = maps:remove(Host, Hosts)},
    case StaysConfigured orelse map_size(Left#server.hosts) > 0 of
        true -> {reply, ok, Left};
        false -> {reply, ok, bounce_waiting(Left)}
    end;
handle_call(get_link, _From, #server{link = Stream} = State) ->
    {reply, Stream, State};
handle_call({set_bounds, Opts}, _From, State) ->
    {reply, ok, State#server{grace = gen_mod:get_opt(grace, Opts), buffer = gen_mod:get_opt(buffer, Opts)}};
handle_call(Request, From, State) ->
    ?WARNING_MSG("Unexpected call from ~p: ~p", [From, Request]),
    {noreply, State}.

handle_cast(component_route, State) ->
    {noreply, stand_in(State)};
handle_cast({link, Stream, Host, Element}, #server{hosts = Hosts} = State) when is_map_key(Host, Hosts) ->
    {noreply, from_component(Element, Stream, Host, State)};
handle_cast({link, _, _, _}, State) ->
    {noreply, State};
handle_cast({count, Host, El}, State) ->
    {noreply, count(Host, El, State)};
handle_cast({own, Pkt}, State) ->
    {noreply, to_own_address(Pkt, State)};
handle_cast({tell, Host, El}, State) ->
    tell(Host, El, State),
    {noreply, State};
handle_cast({session, {Host, _, _} = Key, V, El}, State) ->
    %% Of an older one nobody need know: a newer is on its way.
    case ets:lookup(rapport_session, Key) of
        [#session{v = V}] -> tell(Host, El, State);
        _ -> ok
    end,
    {noreply, State};
handle_cast({changed, Change}, State) ->
    {noreply, changed(Change, State)};
handle_cast({forged, Sender}, State) ->
    {noreply, forged(Sender, State)};
handle_cast(Msg, State) ->
    ?WARNING_MSG("Unexpected cast: ~p", [Msg]),
    {noreply, State}.

handle_info({'DOWN', _, process, Stream, _}, #server{link = Stream} = State) ->
    {noreply, link_lost(State)};
handle_info({'DOWN', _, process, Stream, _}, #server{refused = Stream} = State) ->
    {noreply, wait_while_away(State#server{refused = undefined})};
handle_info({'DOWN', _, process, _, _}, State) ->
    {noreply, State};
handle_info({route, Pkt}, State) ->
    bounce(Pkt),
    {noreply, State};
handle_info({timeout, Timer, away}, #server{away_timer = Timer} = State) ->
    ?WARNING_MSG("Rapport has been away for ~B s: what waits for it bounces", [State#server.grace div 1000]),
    {noreply, give_up(State#server{away_timer = undefined})};
handle_info({timeout, Timer, stalled}, #server{stall_timer = Timer} = State) ->
    ?WARNING_MSG("Rapport has acknowledged nothing for ~B s", [State#server.grace div 1000]),
    State1 = give_up(State#server{stall_timer = undefined}),
    {noreply, lists:foldl(fun open_gates/2, State1, maps:keys(State1#server.hosts))};
handle_info({timeout, Timer, {no_link, Host}}, #server{hosts = Hosts} = State) ->
    case Hosts of
        #{Host := #host{timer = Timer}} -> {noreply, open_gates(Host, State)};
        _ -> {noreply, State}
    end;
handle_info({flush, Change}, State) ->
    {noreply, flush_change(Change, State)};
handle_info({forgery_log, Sender}, State) ->
    {noreply, log_forgeries(Sender, State)};
handle_info({mnesia_table_event, Event}, State) ->
    {noreply, lists:foldl(fun changed/2, State, changes(Event))};
handle_info(Info, State) ->
    ?WARNING_MSG("Unexpected info: ~p", [Info]),
    {noreply, State}.

%% Across a hot reload the counter goes on, so that the component's acknowledgements stay true; across an orderly restart of
%% the server too, for senders believe delivered what waits. And what the component has no confirmation of it sends again:
%% the ids of `once' must not be forgotten either.
terminate(_Reason, #server{component = Component} = State) ->
    ejabberd_router:unregister_route(Component),
    [ejabberd_hooks:delete(Hook, ?MODULE, Function, Priority) || {Hook, Function, Priority} <- global_hooks()],
    Tables = [{Table, ets:tab2list(Table)} || Table <- [rapport_session, rapport_shown, rapport_memory]],
    persistent_term:put(?KEPT, {State, Tables}),
    Waiting = [{N, Kind, xmpp:encode(Pkt)} || {N, Kind, Pkt} <- queue:to_list(State#server.queue), is_integer(N)],
    mnesia:dirty_write(#rapport_link{component = Component, ids = remembered(once), epoch = State#server.epoch,
                                     counter = State#server.counter, dropped = State#server.dropped, queue = Waiting}).

code_change(_OldVsn, State, _Extra) ->
    {ok, State}.

restore(Component, New) ->
    Kept = persistent_term:get(?KEPT, none),
    persistent_term:erase(?KEPT),
    Stopped = mnesia:dirty_read(rapport_link, Component),
    %% A crash loses the count: what comes after it is counted anew. So no crash may bring an older one back.
    [mnesia:dirty_write(#rapport_link{component = Component, ids = Ids}) || #rapport_link{ids = Ids} <- Stopped],
    mnesia:sync_log(),
    case {Kept, Stopped} of
        {{#server{component = Component} = Old, Tables}, _} ->
            [ets:insert(Table, Rows) || {Table, Rows} <- Tables],
            New#server{epoch = Old#server.epoch, counter = Old#server.counter, dropped = Old#server.dropped,
                       queue = Old#server.queue, size = Old#server.size};
        {_, [#rapport_link{ids = Ids} = Link]} ->
            [remember(once, Id) || Id <- Ids],
            restart(Link, New);
        _ ->
            New
    end.

restart(#rapport_link{epoch = undefined}, New) ->
    New;
restart(#rapport_link{epoch = Epoch, counter = Counter, dropped = Dropped, queue = Waiting}, New) ->
    Queue = [{N, Kind, xmpp:decode(El, ?NS_CLIENT, [ignore_els])} || {N, Kind, El} <- Waiting],
    New#server{epoch = Epoch, counter = Counter, dropped = Dropped, queue = queue:from_list(Queue), size = length(Queue)}.

add_host(Host, #server{hosts = Hosts} = State) when is_map_key(Host, Hosts) ->
    State;
add_host(Host, #server{hosts = Hosts} = State) ->
    ets:insert(rapport, {{host, Host}, held}),
    [ejabberd_hooks:add(Hook, Host, ?MODULE, Function, Priority) || {Hook, Function, Priority} <- host_hooks()],
    [ejabberd_hooks:add(Hook, ?MODULE, Function, Priority) || {Hook, Function, Priority} <- global_hooks()],
    learn_sessions(Host),
    watch_tables(),
    State1 = wait_for_link(Host, State#server{hosts = Hosts#{Host => #host{}}}),
    State1#server.standing_in orelse pass(notice(Host, el(<<"renew">>), State1)),
    State1.

%%%===================================================================
%%% What the component says
%%%===================================================================
-spec component_send_packet({stanza() | drop, map()}) -> {stanza() | drop, map()}.
component_send_packet({drop, _} = Acc) ->
    Acc;
component_send_packet({Pkt, #{remote_server := Domain} = Stream} = Acc) ->
    case component() of
        Domain ->
            heard(self()),
            case ets:member(rapport, stopping) of
                true -> {drop, Stream};
                false -> {from_own_stream(Pkt, xmpp:get_from(Pkt), xmpp:get_to(Pkt)), Stream}
            end;
        _ -> Acc
    end;
component_send_packet(Acc) ->
    Acc.

%% What a session has not dealt with yet when the server closes it is lost (ejabberd_sm:host_down takes the hooks away at
%% once). So the server takes nothing more of the component from now on, and confirms nothing: it comes again after the
%% restart. And what it has taken gets to where it goes first.
-spec ejabberd_stopping() -> any().
ejabberd_stopping() ->
    ets:insert(rapport, {stopping}),
    Deadline = erlang:monotonic_time(millisecond) + ?LAST_WORDS,
    Stream = gen_server:call(?MODULE, get_link),
    [idle(Pid, Deadline) || Pid <- [Stream | ets:select(rapport_session, [{#session{pid = '$1', _ = '_'}, [], ['$1']}])], is_pid(Pid)].

%% Wait until a process has dealt with what it was sent so far.
idle(Pid, Deadline) ->
    try sys:get_state(Pid, max(0, Deadline - erlang:monotonic_time(millisecond)))
    catch exit:_ -> ok
    end.

from_own_stream(Pkt, #jid{luser = <<>>, lresource = <<>>}, #jid{luser = <<>>, lserver = Host, lresource = <<>>}) ->
    case served(Host) andalso [El || El <- xmpp:get_els(Pkt), is_link_element(El), xmpp:get_name(El) /= <<"once">>] of
        [_ | _] = Elements ->
            link_stanza(Pkt, Host, Elements),
            drop;
        _ ->
            unless_seen(Pkt)
    end;
from_own_stream(Pkt, _From, _To) ->
    unless_seen(Pkt).

link_stanza(#message{type = Type}, Host, Elements) when Type /= error ->
    [gen_server:cast(?MODULE, {link, self(), Host, parse(El, Host)}) || El <- Elements];
link_stanza(#iq{type = Type} = IQ, Host, [Request]) when Type == get; Type == set ->
    Stream = self(),
    proc_lib:spawn(fun() -> Stream ! {route, answer(IQ, parse_request(Type, Request), Host)} end);
link_stanza(_, _, _) ->
    ok.

%% The element as a term; whatever can't be understood is {refused, Name, Reason}.
parse(El, Host) ->
    try
        notice_of(xmpp:get_name(El), El, Host)
    catch
        throw:Reason -> {refused, xmpp:get_name(El), Reason}
    end.

notice_of(<<"hello">>, El, _Host) ->
    {hello, attr(<<"version">>, El), attr(<<"epoch">>, El), optional_integer(<<"h">>, El)};
notice_of(<<"gate">>, El, _Host) ->
    On = case attr(<<"on">>, El) of
             <<"1">> -> true;
             <<"0">> -> false;
             _ -> throw(<<"on is neither 0 nor 1">>)
         end,
    {gate, On, [user(<<"name">>, User) || User <- children(<<"user">>, El)]};
notice_of(<<"ready">>, _El, _Host) ->
    ready;
notice_of(<<"ack">>, El, _Host) ->
    {ack, integer(<<"h">>, El)};
notice_of(<<"show">>, El, Host) ->
    case jid(<<"jid">>, El) of
        {User, Host, Resource} when User /= <<>>, Resource /= <<>> ->
            #show{session = {Host, User, Resource},
                  v = integer(<<"v">>, El),
                  as = shown_as(attr(<<"as">>, El)),
                  key = attr(<<"key">>, El),
                  status = [#text{lang = attr(<<"xml:lang">>, S), data = fxml:get_tag_cdata(S)}
                            || S <- children(<<"status">>, El)],
                  to = [jid:remove_resource(jid(<<"jid">>, To)) || To <- children(<<"to">>, El)]};
        _ ->
            throw(<<"jid is no full JID of this host">>)
    end;
notice_of(_, _El, _Host) ->
    throw(<<"unknown element">>).

shown_as(<<"online">>) -> undefined;
shown_as(<<"own">>) -> own;
shown_as(<<"offline">>) -> offline;
shown_as(<<"chat">>) -> chat;
shown_as(<<"away">>) -> away;
shown_as(<<"xa">>) -> xa;
shown_as(<<"dnd">>) -> dnd;
shown_as(_) -> throw(<<"as is no known presence">>).

%%% --- 1. Start ---

from_component(_Element, Stream, _Host, #server{refused = Stream} = State) ->
    State;
from_component({hello, ?VERSION, Epoch, H}, Stream, Host, State) ->
    case take_link(Stream, State) of
        refused ->
            ejabberd_service:send(Stream, xmpp:serr_conflict(<<"Rapport is connected already">>, <<"en">>)),
            State;
        State1 ->
            hello(Epoch, H, Host, State1)
    end;
from_component({hello, Version, _, _}, Stream, Host, State) ->
    ?ERROR_MSG("Rapport speaks version '~ts' of the link, mod_rapport of ~ts version '~ts': refused",
               [Version, Host, ?VERSION]),
    write(Stream, notice(Host, el(<<"refused">>, [{<<"version">>, ?VERSION}, {<<"asked">>, Version}]), State)),
    refuse_stream(Stream, State);
from_component({refused, Name, Reason}, Stream, Host, State) ->
    refuse(Name, Reason, Stream, Host, State);
from_component(Element, Stream, Host, #server{link = Stream} = State) ->
    obey(Element, Host, State);
from_component(_Element, _Stream, _Host, State) ->
    %% Its hello got lost with a former process of ours: it has our <renew/>.
    State.

%% Whoever has the link keeps it, unless its stream is half-open.
take_link(Stream, #server{link = Stream} = State) ->
    State;
take_link(Stream, #server{link = undefined} = State) ->
    monitor(process, Stream),
    ets:insert(rapport, {link, Stream, erlang:monotonic_time(second)}),
    State#server{link = Stream, greeted = []};
take_link(Stream, #server{link = Old} = State) ->
    case erlang:monotonic_time(second) - ets:lookup_element(rapport, link, 3) of
        Silent when Silent < ?SILENCE ->
            refused;
        _ ->
            ejabberd_service:send(Old, xmpp:serr_conflict(<<"Replaced by a new stream">>, <<"en">>)),
            take_link(Stream, link_lost(State))
    end.

heard(Stream) ->
    case ets:lookup(rapport, link) of
        [{link, Stream, _}] -> ets:update_element(rapport, link, {3, erlang:monotonic_time(second)});
        _ -> false
    end.

%% Whatever changes a roster or a list, be it an admin's command: only Mnesia can tell. Modules that were loaded after us
%% have brought tables since.
watch_tables() ->
    [mnesia:subscribe({table, Table, simple}) || Table <- [roster, privacy, sr_group, sr_user],
                                                 lists:member(Table, mnesia:system_info(tables))].

hello(Epoch, H, Host, #server{link = Stream, greeted = Greeted, hosts = Hosts} = State) ->
    State1 = case State of
                 #server{epoch = Epoch} when is_integer(H) -> drop_stored(H, State);
                 _ -> State
             end,
    write(Stream, notice(Host, hello_el(State1), State1)),
    %% The queue is one for all hosts: the first that is greeted on a stream hands it over.
    case Greeted == [] orelse lists:member(Host, Greeted) of
        true -> [write(Stream, ready_item(Item)) || Item <- queue:to_list(State1#server.queue)];
        false -> ok
    end,
    State2 = State1#server{greeted = [Host | Greeted], gave_up = false, away_timer = cancel(State1#server.away_timer),
                          hosts = Hosts#{Host => (maps:get(Host, Hosts))#host{ready = false, named = #{}}}},
    watch_tables(),
    watch_stall(wait_for_link(Host, forget_uncounted(State2))).

hello_el(#server{epoch = Epoch, grace = Grace, buffer = Buffer, dropped = Dropped}) ->
    el(<<"hello">>, [{<<"version">>, ?VERSION},
                     {<<"epoch">>, Epoch},
                     {<<"server">>, <<"ejabberd ", (ejabberd_option:version())/binary>>},
                     {<<"grace">>, integer_to_binary(Grace div 1000)},
                     {<<"buffer">>, integer_to_binary(Buffer)},
                     {<<"dropped">>, integer_to_binary(Dropped)}]).

%% Without the link the component is one as any other: what is for it goes to it.
refuse_stream(Stream, State) ->
    monitor(process, Stream),
    State1 = case State of
                 #server{link = Stream} -> link_lost(State);
                 _ -> State
             end,
    [pass(Pkt) || {_, own, Pkt} <- queue:to_list(State1#server.queue)],
    State2 = keep_items(fun({_, Kind, _}) -> Kind == notice end, State1),
    State2#server{refused = Stream, gave_up = false, away_timer = cancel(State2#server.away_timer)}.

link_lost(#server{hosts = Hosts} = State) ->
    ?INFO_MSG("Rapport's link is down, ~B items wait", [State#server.size]),
    Down = State#server{link = undefined, stall_timer = cancel(State#server.stall_timer),
                       hosts = maps:map(fun(_, Host) -> Host#host{ready = false} end, Hosts)},
    lists:foldl(fun wait_for_link/2, wait_while_away(Down), maps:keys(Hosts)).

wait_while_away(#server{away_timer = undefined, gave_up = false, grace = Grace} = State) ->
    State#server{away_timer = erlang:start_timer(Grace, self(), away)};
wait_while_away(State) ->
    State.

%% The gates of a host hold for the grace without its link.
wait_for_link(Name, #server{hosts = Hosts, grace = Grace} = State) ->
    case {maps:get(Name, Hosts), is_open(Name)} of
        {#host{timer = undefined} = Host, false} ->
            Timer = erlang:start_timer(Grace, self(), {no_link, Name}),
            State#server{hosts = Hosts#{Name => Host#host{timer = Timer}}};
        _ ->
            State
    end.

obey({gate, On, Users}, Name, #server{hosts = Hosts} = State) ->
    #host{ready = Ready, named = Named} = Host = maps:get(Name, Hosts),
    [case On of
         true -> gate(User, Name, Ready);
         false -> ungate(User, Name)
     end || User <- Users],
    Named1 = case On of
                 _ when Named == undefined -> undefined;
                 true -> maps:merge(Named, maps:from_keys(Users, true));
                 false -> maps:without(Users, Named)
             end,
    State#server{hosts = Hosts#{Name => Host#host{named = Named1}}};
obey(ready, Name, #server{hosts = Hosts, link = Stream} = State) ->
    case maps:get(Name, Hosts) of
        #host{named = undefined} -> refuse(<<"ready">>, <<"no hello before it">>, Stream, Name, State);
        Host -> get_ready(Host, Name, State)
    end;
obey({ack, H}, _Name, #server{size = Size, gave_up = GaveUp} = State) ->
    case drop_stored(H, State) of
        State1 when GaveUp -> renew(watch_stall(State1#server{gave_up = false}));
        #server{size = Size} = State1 -> State1;
        State1 -> watch_stall(State1#server{stall_timer = cancel(State1#server.stall_timer)})
    end;
obey(#show{session = Key} = Show, _Name, State) ->
    order_sessions(Key, Show),
    State.

refuse(Element, Reason, Stream, Name, State) ->
    write(Stream, notice(Name, el(<<"refused">>, [{<<"name">>, Element}, {<<"reason">>, Reason}]), State)),
    State.

get_ready(#host{named = Named, timer = Timer}, Name, #server{hosts = Hosts} = State) ->
    {Gated, Unnamed} = lists:partition(fun(User) -> is_map_key(User, Named) end, gated_users(Name)),
    [begin
         order_sessions({Name, User, '_'}, open),
         ungate(User, Name)
     end || User <- Unnamed],
    close_gates(Name, Gated),
    cancel(Timer),
    State1 = State#server{hosts = Hosts#{Name => #host{ready = true}}},
    [case is_gated(User, Name) of
         true -> tell(Name, session_el(Session, true), State1);
         false -> tell(Name, session_el(Session#session{truth = true}, false), State1)
     end || #session{key = {_, User, _}} = Session <- sessions({Name, '_', '_'})],
    tell(Name, el(<<"ready">>), State1),
    ?INFO_MSG("Rapport's link of ~ts is up, ~B users are gated", [Name, length(Gated)]),
    State1.

%% It stalled, its gates are open: it starts over.
renew(#server{hosts = Hosts, link = Stream} = State) ->
    [write(Stream, notice(Name, el(<<"renew">>), State)) || Name <- maps:keys(Hosts)],
    State.

%%% --- 2. Reliable hand-over ---

-spec component_connected(binary()) -> ok.
component_connected(Domain) ->
    Domain == component() andalso gen_server:cast(?MODULE, component_route),
    ok.

-spec component_disconnected(binary(), any()) -> ok.
component_disconnected(Domain, _Reason) ->
    component_connected(Domain).

%% While the component is away its domain is ours: what other servers send to it must wait too, and without a route
%% ejabberd_s2s_in takes nothing for it.
stand_in(#server{component = Component} = State) ->
    ejabberd_router:unregister_route(Component),
    case ejabberd_router:is_my_route(Component) of
        true ->
            State#server{standing_in = false};
        false ->
            ejabberd_router:register_route(Component, ejabberd_config:get_myname()),
            State#server{standing_in = true}
    end.

%% A counted notice.
count(_Host, _El, #server{size = Size, buffer = Buffer, dropped = Dropped} = State) when Size >= Buffer ->
    State#server{dropped = Dropped + 1};
count(Host, #xmlel{attrs = Attrs} = El, #server{counter = Counter} = State) ->
    N = Counter + 1,
    Numbered = El#xmlel{attrs = Attrs ++ [{<<"n">>, integer_to_binary(N)}]},
    enqueue({N, notice, notice(Host, Numbered, State)}, State#server{counter = N}).

%% A stanza to one of the component's own addresses.
to_own_address(Pkt, #server{refused = Stream} = State) when is_pid(Stream) ->
    pass(Pkt),
    State;
to_own_address(Pkt, #server{link = Stream, standing_in = StandingIn} = State) ->
    case is_counted(Pkt) of
        true ->
            keep_own(Pkt, true, State);
        false when is_pid(Stream) ->
            write(Stream, Pkt),
            State;
        false when StandingIn ->
            keep_own(Pkt, false, State);
        false ->
            pass(Pkt),
            State
    end.

keep_own(Pkt, _Counted, #server{size = Size, buffer = Buffer, gave_up = GaveUp} = State)
  when GaveUp; Size >= Buffer ->
    bounce(Pkt),
    State;
keep_own(Pkt, true, #server{counter = Counter} = State) ->
    enqueue({Counter + 1, own, Pkt}, State#server{counter = Counter + 1});
keep_own(Pkt, false, State) ->
    enqueue({undefined, own, Pkt}, State).

is_counted(#message{type = Type}) ->
    Type == chat orelse Type == normal;
is_counted(#presence{type = Type}) ->
    lists:member(Type, [subscribe, subscribed, unsubscribe, unsubscribed]);
is_counted(_) ->
    false.

enqueue(Item, #server{queue = Queue, size = Size, link = Stream} = State) ->
    case Stream of
        undefined -> ok;
        _ -> write(Stream, ready_item(Item))
    end,
    watch_stall(State#server{queue = queue:in(Item, Queue), size = Size + 1}).

%% The stanza of an item, as it is written out.
ready_item({N, own, Pkt}) when is_integer(N) ->
    xmpp:append_subtags(Pkt, [el(<<"handed">>, [{<<"n">>, integer_to_binary(N)}])]);
ready_item({_, _, Stanza}) ->
    Stanza.

drop_stored(H, #server{queue = Queue, size = Size} = State) ->
    case queue:peek(Queue) of
        {value, {N, _, _}} when is_integer(N), N =< H ->
            drop_stored(H, State#server{queue = queue:drop(Queue), size = Size - 1});
        _ ->
            State
    end.

forget_uncounted(State) ->
    keep_items(fun({N, _, _}) -> is_integer(N) end, State).

keep_items(Wanted, #server{queue = Queue} = State) ->
    Kept = queue:filter(Wanted, Queue),
    State#server{queue = Kept, size = queue:len(Kept)}.

watch_stall(#server{link = Stream, size = Size, stall_timer = undefined, gave_up = false, grace = Grace} = State)
  when is_pid(Stream), Size > 0 ->
    State#server{stall_timer = erlang:start_timer(Grace, self(), stalled)};
watch_stall(#server{size = 0, stall_timer = Timer} = State) ->
    State#server{stall_timer = cancel(Timer)};
watch_stall(State) ->
    State.

%% Nobody waits for ever for an answer of the component; taps can.
give_up(State) ->
    State1 = bounce_waiting(State),
    State1#server{gave_up = true}.

bounce_waiting(#server{queue = Queue} = State) ->
    [bounce(Pkt) || {_, own, Pkt} <- queue:to_list(Queue)],
    keep_items(fun({_, Kind, _}) -> Kind == notice end, State).

bounce(Pkt) ->
    ejabberd_router:route_error(Pkt, xmpp:err_recipient_unavailable()).

%% By the server's own ways, past our filter.
pass(Pkt) ->
    ejabberd_router:route(xmpp:put_meta(Pkt, rapport, pass)).

%% Not by the router: it balances between all streams that have the component's domain, be they of another component
%% (global_routes of ejabberd_service).
write(Stream, Stanza) ->
    ejabberd_cluster:send(Stream, {route, Stanza}).

tell(Host, El, #server{hosts = Hosts, link = Stream} = State) ->
    case Hosts of
        #{Host := #host{ready = true}} -> write(Stream, notice(Host, El, State));
        _ -> ok
    end.

notice(Host, El, #server{component = Component}) ->
    #message{from = jid:make(Host), to = jid:make(Component), sub_els = [El]}.

%% The other way: a stanza of the component that carries <once/> goes through once.
unless_seen(Pkt) ->
    case [El || El <- xmpp:get_els(Pkt), is_link_element(El), xmpp:get_name(El) == <<"once">>] of
        [] ->
            Pkt;
        [Once | _] = All ->
            case remember(once, attr(<<"id">>, Once)) of
                true -> xmpp:set_els(Pkt, xmpp:get_els(Pkt) -- All);
                false -> drop
            end
    end.

%% Remembers Id among the last ?MEMORY of its kind; false if it is among them already.
remember(Kind, Id) ->
    case ets:insert_new(rapport_memory, {{Kind, Id}}) of
        true ->
            Place = ets:update_counter(rapport_memory, Kind, 1, {Kind, 0}) rem ?MEMORY,
            [ets:delete(rapport_memory, {Kind, Oldest})
             || {_, Oldest} <- ets:lookup(rapport_memory, {place, Kind, Place})],
            ets:insert(rapport_memory, {{place, Kind, Place}, Id});
        false ->
            false
    end.

%% The ids of this kind, the oldest first.
remembered(Kind) ->
    Next = case ets:lookup(rapport_memory, Kind) of
               [{_, Count}] -> Count rem ?MEMORY + 1;
               [] -> 0
           end,
    Placed = ets:select(rapport_memory, [{{{place, Kind, '$1'}, '$2'}, [], [{{'$1', '$2'}}]}]),
    {Newer, Older} = lists:partition(fun({Place, _}) -> Place < Next end, lists:sort(Placed)),
    [Id || {_, Id} <- Older ++ Newer].

%%%===================================================================
%%% 3. Notices: messages
%%%===================================================================
-spec user_send_packet({stanza(), map()}) -> {stanza(), map()}.
user_send_packet({#message{meta = #{mam_archived := true, stanza_id := Id}} = Msg, C2S}) ->
    {xmpp:put_meta(Msg, rapport_archive_id, integer_to_binary(Id)), C2S};
user_send_packet(Acc) ->
    Acc.

%% One copy of those to several sessions; nothing that was tapped before: what comes from offline storage,
%% or again after the end of a session with XEP-0198.
-spec user_receive_packet({stanza() | drop, map()}) -> {stanza() | drop, map()}.
user_receive_packet({#message{meta = Meta} = Msg, #{lserver := Host} = C2S} = Acc)
  when not is_map_key(sm_copy, Meta), not is_map_key(from_offline, Meta),
       not is_map_key(carbon_copy, Meta), not is_map_key(rapport_tapped, Meta) ->
    case tap(Host, Msg, archive_id(Msg)) of
        true -> {xmpp:put_meta(Msg, rapport_tapped, true), C2S};
        false -> Acc
    end;
user_receive_packet(Acc) ->
    Acc.

-spec offline_message({any(), message()}) -> {any(), message()}.
offline_message({Action, #message{to = #jid{lserver = Host}, meta = Meta} = Msg} = Acc)
  when (Action == archived orelse Action == offlined), not is_map_key(rapport_tapped, Meta) ->
    tap(Host, Msg, archive_id(Msg)),
    Acc;
offline_message(Acc) ->
    Acc.

archive_id(#message{meta = #{mam_archived := true, stanza_id := Id}}) -> integer_to_binary(Id);
archive_id(_) -> undefined.

%% To whoever is not at a served host: another server, a gateway, a room's occupant.
tap_sent(#message{from = #jid{luser = User, lserver = Host} = From, to = To, id = Id, meta = Meta} = Msg)
  when User /= <<>> ->
    case served(Host) andalso not served(To#jid.lserver) andalso
        tap(Host, Msg, maps:get(rapport_archive_id, Meta, undefined)) of
        true when Id /= <<>> -> remember(tapped, {jid:tolower(From), jid:tolower(To), Id});
        _ -> ok
    end;
tap_sent(_) ->
    ok.

%% What is said in a room; its text is told too, for only that says whom it names.
-spec muc_filter_message(message() | drop, #state{}, binary()) -> message() | drop.
muc_filter_message(#message{type = groupchat} = Msg, #state{server_host = Host, jid = Room} = State, _Nick) ->
    case gen_mod:get_module_opt(Host, ?MODULE, rooms) andalso has_content(Msg) of
        true ->
            StanzaId = stanza_id(Room, archive_id(Msg)),
            Reduced = reduce(Msg#message{to = Room}, StanzaId, fun said/2),
            hand_over(Host, el(<<"tap">>, [{<<"at">>, now_at()}], [Reduced | members(State)]));
        false -> ok
    end,
    Msg;
muc_filter_message(Acc, _, _) ->
    Acc.

%% Users of served hosts, with their nicks: occupants, and who else belongs to the room.
members(#state{users = Users, affiliations = Affiliations, muc_subscribers = #muc_subscribers{subscribers = Subscribers}}) ->
    Present = [{bare(JID), Nick} || #user{jid = JID, nick = Nick} <- maps:values(Users)]
        ++ [{bare(JID), Nick} || #subscriber{jid = JID, nick = Nick} <- maps:values(Subscribers)],
    Known = maps:from_list(Present),
    Absent = [{JID, <<>>} || {{_, _, <<>>} = JID, Affiliation} <- maps:to_list(Affiliations),
                             lists:member(affiliation(Affiliation), [owner, admin, member]),
                             not is_map_key(JID, Known)],
    Served = [Member || {{User, Host, _}, _} = Member <- lists:usort(Present) ++ Absent, User /= <<>>, served(Host)],
    [el(<<"member">>, [{<<"jid">>, jid:encode(JID)} | [{<<"nick">>, Nick} || Nick /= <<>>]])
     || {JID, Nick} <- lists:sublist(Served, ?MEMBERS_MAX)].

affiliation({Affiliation, _Reason}) -> Affiliation;
affiliation(Affiliation) -> Affiliation.

stanza_id(_Owner, undefined) ->
    [];
stanza_id(Owner, ArchiveId) ->
    [#xmlel{name = <<"stanza-id">>,
            attrs = [{<<"xmlns">>, ?NS_SID_0}, {<<"by">>, jid:encode(Owner)}, {<<"id">>, ArchiveId}]}].

%% Whether it was one to tap.
tap(Host, #message{from = From, to = To} = Msg, ArchiveId) ->
    case is_tappable(Msg) of
        true ->
            Owner = case To of
                        #jid{lserver = Host} -> bare(To);
                        _ -> bare(From)
                    end,
            hand_over(Host, el(<<"tap">>, [{<<"at">>, now_at()}], [reduce(Msg, stanza_id(Owner, ArchiveId))])),
            true;
        false ->
            false
    end.

is_tappable(#message{type = Type, from = From, to = To} = Msg) when Type == chat; Type == normal ->
    Component = component(),
    not is_same_user(From, To) andalso From#jid.lserver /= Component andalso To#jid.lserver /= Component
        andalso has_content(Msg);
is_tappable(_) ->
    false.

has_content(#message{body = Body} = Msg) ->
    xmpp:get_text(Body) /= <<>> orelse
        lists:any(fun(El) -> counts(xmpp:get_name(El), xmpp:get_ns(El)) end, xmpp:get_els(Msg)).

counts(<<"encryption">>, ?NS_EME) -> true;
counts(<<"encrypted">>, ?NS_OMEMO) -> true;
counts(<<"encrypted">>, ?NS_AXOLOTL) -> true;
counts(<<"displayed">>, ?NS_CHAT_MARKERS_0) -> true;
counts(_, _) -> false.

reduce(Msg, StanzaId) ->
    reduce(Msg, StanzaId, fun reduced/2).

%% The reduced message: what is named neither here nor by Reduced stays.
reduce(#message{from = From, to = To, id = Id, type = Type, body = Texts} = Msg, StanzaId, Reduced) ->
    Body = Reduced(body, Texts),
    Others = lists:flatmap(fun(El) -> Reduced(xmpp:get_ns(El), El) end, xmpp:get_els(Msg)),
    #xmlel{name = <<"message">>,
           attrs = [{<<"xmlns">>, ?NS_CLIENT}, {<<"from">>, normalised(From)}, {<<"to">>, normalised(To)},
                    {<<"type">>, atom_to_binary(Type, latin1)} | [{<<"id">>, Id} || Id /= <<>>]],
           children = Body ++ StanzaId ++ Others}.

reduced(body, Texts) -> [#xmlel{name = <<"body">>} || xmpp:get_text(Texts) /= <<>>];
reduced(NS, El) -> reduce_child(NS, xmpp:get_name(El), xmpp:encode(El)).

%% Of what is said in rooms.
said(body, Texts) ->
    [#xmlel{name = <<"body">>, attrs = [{<<"xml:lang">>, Lang} || Lang /= <<>>], children = [{xmlcdata, Text}]}
     || #text{lang = Lang, data = Text} <- Texts, Text /= <<>>];
said(?NS_REFERENCE, El) -> [bare_el(xmpp:encode(El))];
said(NS, El) -> reduced(NS, El).

reduce_child(?NS_EME, _, El) -> [bare_el(El)];
reduce_child(?NS_OMEMO, <<"encrypted">>, El) -> [bare_el(El, [<<"payload">>])];
reduce_child(?NS_AXOLOTL, <<"encrypted">>, El) -> [bare_el(El, [<<"payload">>])];
reduce_child(?NS_CHAT_MARKERS_0, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:message-correct:0">>, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:message-retract:0">>, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:message-retract:1">>, _, El) -> [bare_el(El)];
reduce_child(?NS_FASTEN, _, El) -> [bare_el(El, [<<"retract">>])];
reduce_child(?NS_DELAY, _, El) -> [bare_el(El)];
reduce_child(<<"jabber:x:delay">>, _, El) -> [bare_el(El)];
reduce_child(?NS_SID_0, <<"origin-id">>, El) -> [bare_el(El)];
reduce_child(?NS_RECEIPTS, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:reply:0">>, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:attention:0">>, _, El) -> [bare_el(El)];
reduce_child(?NS_OOB, _, El) -> [bare_el(El)];
reduce_child(<<"urn:xmpp:sfs:0">>, _, El) -> [bare_el(El)];
reduce_child(?NS_XCONFERENCE, Name, _) -> [#xmlel{name = Name, attrs = [{<<"xmlns">>, ?NS_XCONFERENCE}]}];
reduce_child(?NS_MAM_2, <<"result">>, El) -> [bare_el(El)];
reduce_child(?NS_CARBONS_2, Name, El) when Name == <<"sent">>; Name == <<"received">> -> [bare_el(El)];
reduce_child(_, _, _) -> [].

bare_el(El) ->
    bare_el(El, []).

%% Without its text, and without its children but those, as bare.
bare_el(#xmlel{children = Children} = El, Kept) ->
    El#xmlel{children = [bare_el(Child) || #xmlel{name = Name} = Child <- Children, lists:member(Name, Kept)]}.

-spec sm_receive_packet(stanza() | drop) -> stanza() | drop.
sm_receive_packet(#message{type = error, from = From, to = #jid{lserver = Host} = To, id = Id} = Msg) ->
    case ets:take(rapport_memory, {tapped, {jid:tolower(To), jid:tolower(From), Id}}) of
        [] -> ok;
        [_] -> hand_over(Host, el(<<"bounce">>, [{<<"at">>, now_at()}, {<<"from">>, normalised(To)},
                                                 {<<"to">>, normalised(From)}, {<<"id">>, Id}]))
    end,
    Msg;
sm_receive_packet(#presence{type = probe} = Pres) ->
    probe(Pres),
    Pres;
sm_receive_packet(Acc) ->
    Acc.

%% XEP-0490: the item's id is the contact, the payload names the message.
-spec pubsub_publish_item(binary(), binary(), jid(), jid(), binary(), [xmlel()]) -> ok.
pubsub_publish_item(Host, ?NS_MDS, Publisher, Service, Contact, Payload) ->
    case is_same_user(Publisher, Service) andalso
        [{fxml:get_tag_attr_s(<<"id">>, Id), fxml:get_tag_attr_s(<<"by">>, Id)}
         || #xmlel{name = <<"displayed">>} = Displayed <- Payload,
            #xmlel{name = <<"stanza-id">>} = Id <- Displayed#xmlel.children] of
        [{Id, By}] when Id /= <<>>, By /= <<>>, Contact /= <<>> ->
            hand_over(Host, el(<<"read">>, [{<<"at">>, now_at()}, {<<"user">>, normalised(Service)},
                                            {<<"contact">>, Contact}, {<<"id">>, Id}, {<<"by">>, By}]));
        _ ->
            ok
    end;
pubsub_publish_item(_, _, _, _, _, _) ->
    ok.

%%% --- rosters, block lists, accounts ---

-spec roster_in_subscription(boolean(), presence()) -> boolean().
roster_in_subscription(Acc, #presence{to = #jid{luser = User, lserver = Host}}) ->
    gen_server:cast(?MODULE, {changed, {<<"roster">>, User, Host}}),
    Acc.

-spec remove_user(binary(), binary()) -> ok.
remove_user(User, Host) ->
    mnesia:dirty_delete(rapport_gate, {User, Host}),
    hand_over(Host, changed_el(User, <<"account">>)).

%% What the server pushes to its user's clients (RFC 6121, 2.1.6; XEP-0191, 3.3) has changed.
seen_push(#iq{type = set, from = #jid{luser = User, lserver = Host, lresource = <<>>},
              to = #jid{luser = User, lserver = Host, lresource = Resource}, sub_els = [Push]})
  when User /= <<>>, Resource /= <<>> ->
    case served(Host) andalso xmpp:get_ns(Push) of
        ?NS_ROSTER -> gen_server:cast(?MODULE, {changed, {<<"roster">>, User, Host}});
        ?NS_PRIVACY -> gen_server:cast(?MODULE, {changed, {<<"blocks">>, User, Host}});
        ?NS_BLOCKING -> gen_server:cast(?MODULE, {changed, {<<"blocks">>, User, Host}});
        _ -> ok
    end;
seen_push(_) ->
    ok.

%% What a Mnesia event says of rosters and lists; a shared group changes the rosters of all who see it.
changes({delete, {roster, {User, Host, _}}, _}) -> [{<<"roster">>, User, Host}];
changes({delete, {privacy, {User, Host}}, _}) -> [{<<"blocks">>, User, Host}];
changes({delete, {sr_user, {User, Host}}, _}) -> [{<<"roster">>, User, Host}];
changes({delete, {sr_group, GroupHost}, _}) -> [{group, GroupHost}];
changes({_, #roster{us = {User, Host}}, _}) -> [{<<"roster">>, User, Host}];
changes({_, #privacy{us = {User, Host}}, _}) -> [{<<"blocks">>, User, Host}];
changes({_, {sr_user, {User, Host}, GroupHost}, _}) -> [{<<"roster">>, User, Host}, {group, GroupHost}];
changes({_, {sr_group, GroupHost, _}, _}) -> [{group, GroupHost}];
changes(_) -> [].

changed(Change, #server{changed = Changed} = State) when is_map_key(Change, Changed) ->
    State;
changed(Change, #server{changed = Changed} = State) ->
    erlang:send_after(?COALESCE, self(), {flush, Change}),
    State#server{changed = Changed#{Change => true}}.

flush_change({group, {Group, Host}} = Change, #server{changed = Changed} = State) ->
    lists:foldl(fun changed/2, State#server{changed = maps:remove(Change, Changed)},
                [{<<"roster">>, User, UserHost} || {User, UserHost} <- group_viewers(Group, Host)]);
flush_change({What, User, Host} = Change, #server{changed = Changed, hosts = Hosts} = State) ->
    State1 = State#server{changed = maps:remove(Change, Changed)},
    What == <<"blocks">> andalso order_sessions({Host, User, '_'}, unblocked),
    case Hosts of
        #{Host := _} -> count(Host, changed_el(User, What), State1);
        _ -> State1
    end.

group_viewers(Group, Host) ->
    Showing = [Other || Other <- mod_shared_roster:list_groups(Host),
                        is_list(Opts = mod_shared_roster:get_group_opts(Host, Other)),
                        lists:member(Group, proplists:get_value(displayed_groups, Opts, []))],
    lists:usort([Member || Each <- [Group | Showing], Member <- mod_shared_roster:get_group_users(Host, Each)]).

changed_el(User, What) ->
    el(<<"changed">>, [{<<"user">>, User}, {<<"what">>, What}]).

%%%===================================================================
%%% 3. Notices: sessions;  4. Presence in a user's name, and the gate
%%%===================================================================

%% In the session's process, as all that writes a #session{}. The mark stays with the presence that the server keeps:
%% its answers to probes, and what it sends when a subscription is approved, carry it too.
-spec c2s_self_presence({presence(), map()}) -> {presence(), map()}.
c2s_self_presence({#presence{type = available} = Pres, #{jid := JID} = C2S}) ->
    Key = session_key(JID),
    Held = holds(Key),
    {V, Unseen} = case own_session(Key) of
                      #session{v = Last, unseen = StillUnseen} -> {Last + 1, StillUnseen};
                      none -> {first_v(), true}
                  end,
    own_session(Key) /= none andalso Held orelse forget_shown(Key),
    Own = xmpp:put_meta(Pres, rapport, own),
    Session = #session{key = Key, pid = self(), v = V, truth = not Held, held = Held, unseen = Held andalso Unseen,
                       presence = Own},
    report(keep_session(Session), false),
    {Own, C2S};
c2s_self_presence({#presence{type = unavailable}, #{jid := JID}} = Acc) ->
    end_session(session_key(JID)),
    Acc;
c2s_self_presence(Acc) ->
    Acc.

%% XEP-0198: the session lives on in a new process.
-spec c2s_copy_session(map(), map()) -> map().
c2s_copy_session(#{jid := JID} = C2S, _OldC2S) ->
    ets:update_element(rapport_session, session_key(JID), {#session.pid, self()}),
    C2S;
c2s_copy_session(C2S, _OldC2S) ->
    C2S.

-spec c2s_terminated(map(), any()) -> map().
c2s_terminated(#{jid := JID} = C2S, _Reason) ->
    end_session(session_key(JID)),
    C2S;
c2s_terminated(C2S, _Reason) ->
    C2S.

%% When the server has said unavailable to those who did not see so yet.
-spec c2s_buried(map(), any()) -> map().
c2s_buried(#{jid := JID} = C2S, _Reason) ->
    Key = session_key(JID),
    ets:member(rapport_session, Key) orelse forget_shown(Key),
    C2S;
c2s_buried(C2S, _Reason) ->
    C2S.

end_session({Host, User, Resource} = Key) ->
    case own_session(Key) of
        none ->
            ok;
        #session{v = V} ->
            ets:delete(rapport_session, Key),
            gen_server:cast(?MODULE, {tell, Host, el(<<"session">>, [{<<"jid">>, jid:encode({User, Host, Resource})},
                                                                     {<<"v">>, integer_to_binary(V + 1)},
                                                                     {<<"gone">>, <<"1">>}])})
    end.

%% Not another one's that took the resource meanwhile.
own_session(Key) ->
    case ets:lookup(rapport_session, Key) of
        [#session{pid = Pid} = Session] when Pid == self() -> Session;
        _ -> none
    end.

keep_session(Session) ->
    ets:insert(rapport_session, Session),
    Session.

report(#session{key = Key, v = V} = Session, WithShown) ->
    gen_server:cast(?MODULE, {session, Key, V, session_el(Session, WithShown)}).

session_el(#session{key = {Host, User, Resource} = Key, v = V, truth = Truth, presence = Pres}, WithShown) ->
    #xmlel{attrs = Attrs} = PresEl = xmpp:encode(Pres#presence{to = undefined}, ?NS_CLIENT),
    Own = PresEl#xmlel{attrs = [{<<"xmlns">>, ?NS_CLIENT} | lists:keydelete(<<"xmlns">>, 1, Attrs)]},
    el(<<"session">>,
       [{<<"jid">>, jid:encode({User, Host, Resource})}, {<<"v">>, integer_to_binary(V)},
        {<<"truth">>, flag(Truth)} | [{<<"shown">>, <<"1">>} || WithShown]],
       [Own | [shown_el(ShownKey, Contacts) || WithShown, {ShownKey, Contacts} <- shown_by_key(Key)]]).

shown_by_key(Key) ->
    maps:to_list(maps:groups_from_list(fun(#shown{key = ShownKey}) -> ShownKey end,
                                       fun(#shown{id = {_, Contact}}) -> Contact end, shown_rows(Key))).

shown_rows(Key) ->
    ets:match_object(rapport_shown, #shown{id = {Key, '_'}, _ = '_'}).

shown_el(ShownKey, Contacts) ->
    #xmlel{name = <<"shown">>, attrs = [{<<"key">>, ShownKey}],
           children = [#xmlel{name = <<"to">>, attrs = [{<<"jid">>, jid:encode(Contact)}]} || Contact <- Contacts]}.

%% Higher than any of an earlier session of the same JID.
first_v() ->
    erlang:system_time(microsecond).

%%% --- what a session is told to do, in its own process ---

learn_sessions(Host) ->
    [ets:delete(rapport_session, Key) || #session{key = {_, User, Resource} = Key} <- sessions({Host, '_', '_'}),
                                         ejabberd_sm:get_session_pid(User, Host, Resource) == none],
    [ejabberd_c2s:cast(Pid, {?MODULE, learn})
     || {User, Server, Resource} <- ejabberd_sm:get_vh_session_list(Host),
        Pid <- [ejabberd_sm:get_session_pid(User, Server, Resource)], is_pid(Pid), node(Pid) == node()].

order_sessions(KeyPattern, Order) ->
    [ejabberd_c2s:cast(Pid, {?MODULE, Order}) || #session{pid = Pid} <- sessions(KeyPattern)].

-spec c2s_handle_cast(map(), any()) -> map() | {stop, map()}.
c2s_handle_cast(C2S, {?MODULE, learn}) ->
    {stop, learn_session(C2S)};
c2s_handle_cast(#{jid := JID} = C2S, {?MODULE, Order}) ->
    Self = self(),
    case ets:lookup(rapport_session, session_key(JID)) of
        [#session{pid = Self} = Session] -> do(Order, Session, C2S);
        %% XEP-0198: it has just moved to a new process.
        [#session{pid = Pid}] -> ejabberd_c2s:cast(Pid, {?MODULE, Order});
        [] -> ok
    end,
    {stop, C2S};
c2s_handle_cast(C2S, _) ->
    C2S.

%% A session from before the module was loaded, or whose table is gone with a crash: then nobody knows what was shown.
learn_session(#{pres_last := #presence{} = Pres, jid := JID} = C2S) ->
    {Host, User, _} = Key = session_key(JID),
    Own = xmpp:put_meta(Pres, rapport, own),
    Truth = Pres /= Own orelse not is_gated(User, Host),
    case ets:lookup(rapport_session, Key) of
        [#session{presence = Own} = Session] ->
            keep_session(Session#session{pid = self(), held = holds(Key)});
        _ ->
            forget_shown(Key),
            keep_session(#session{key = Key, pid = self(), v = first_v(), truth = Truth, held = holds(Key),
                                  presence = Own})
    end,
    C2S#{pres_last := Own};
learn_session(#{jid := JID} = C2S) ->
    end_session(session_key(JID)),
    C2S.

do({gate, Answer}, #session{key = Key} = Session, _C2S) ->
    Gated = keep_session(Session#session{held = holds(Key)}),
    Answer andalso report(Gated, true);
do(ungate, #session{key = Key} = Session, _C2S) ->
    forget_shown(Key),
    keep_session(Session#session{held = false, truth = true, unseen = false});
do(open, #session{held = true} = Session, C2S) ->
    show_truth(Session, C2S);
do(#show{v = V, to = Contacts} = Show, #session{v = V, held = true, presence = Own} = Session, C2S) ->
    Pres = tailor(Show, Own),
    [show(Show, Pres, Contact, Session, C2S) || Contact <- Contacts];
%% The component takes it as shown, until told what is.
do(#show{}, #session{v = V, held = true, corrected = Corrected} = Session, _C2S) when Corrected /= V ->
    report(keep_session(Session#session{corrected = V}), true);
do({probed, Contact}, Session, _C2S) ->
    probed(Contact, Session);
do(unblocked, #session{key = {Host, User, _} = Key} = Session, C2S) ->
    [begin
         probed(Contact, Session),
         tell_probe(jid:make(Contact), jid:make(User, Host))
     end || #shown{id = {_, Contact}, as = withheld} <- shown_rows(Key), may_see(Contact, C2S) == allow];
do(_, _, _) ->
    ok.

show(#show{key = ShownKey, v = V} = Show, Pres, Contact, #session{key = Key} = Session, C2S) ->
    case may_see(Contact, C2S) of
        allow ->
            Seen = seen(Session, Contact),
            is_seen(Show, Seen) orelse present(as_answer(Pres, Seen, C2S), Contact),
            ets:insert(rapport_shown, #shown{id = {Key, Contact}, key = ShownKey, as = seen_as(Show), v = V});
        deny ->
            ets:insert(rapport_shown, #shown{id = {Key, Contact}, key = ?NOTHING, as = withheld});
        unsubscribed ->
            ok
    end.

seen(#session{key = Key, unseen = Unseen}, Contact) ->
    case ets:lookup(rapport_shown, {Key, Contact}) of
        [Seen] -> Seen;
        [] when Unseen -> #shown{id = {Key, Contact}, key = ?NOTHING, as = offline};
        [] -> none
    end.

is_seen(#show{key = Key}, #shown{key = Key}) -> true;
is_seen(#show{as = offline}, #shown{as = offline}) -> true;
is_seen(_, _) -> false.

show_truth(#session{key = {Host, User, _} = Key, presence = Own} = Session, C2S) ->
    Contacts = [jid:tolower(jid:remove_resource(Contact))
                || #roster_item{jid = Contact} <- ejabberd_hooks:run_fold(roster_get, Host, [], [{User, Host}])],
    [present(Own, Contact) || Contact <- Contacts,
                              not has_seen_truth(Session, Contact), may_see(Contact, C2S) == allow],
    forget_shown(Key),
    keep_session(Session#session{held = holds(Key), truth = true, unseen = false}).

has_seen_truth(#session{key = Key, v = V, truth = Truth}, Contact) ->
    case ets:lookup(rapport_shown, {Key, Contact}) of
        [] -> Truth;
        [#shown{as = As, v = Seen, probed = Probed}] -> As == own andalso Seen == V andalso not Probed
    end.

seen_as(#show{as = own}) -> own;
seen_as(#show{as = offline}) -> offline;
seen_as(_) -> other.

%% The server's own answer to a probe says since when (XEP-0203).
as_answer(#presence{type = available} = Pres, #shown{probed = true}, #{jid := JID, pres_timestamp := Since}) ->
    misc:add_delay_info(Pres, JID, Since);
as_answer(Pres, _Seen, _C2S) ->
    Pres.

tailor(#show{as = own}, Own) ->
    Own;
tailor(#show{as = offline, status = Status}, #presence{from = From}) ->
    #presence{type = unavailable, from = From, status = Status};
tailor(#show{as = As, status = []}, Own) ->
    Own#presence{show = As};
tailor(#show{as = As, status = Status}, Own) ->
    Own#presence{show = As, status = Status}.

present(Pres, Contact) ->
    ejabberd_router:route(xmpp:put_meta(Pres#presence{to = jid:make(Contact)}, rapport, shown)).

%% Of a session, by its state or (then without a list that only this session has made active) its JID.
-spec may_see(ljid(), map() | jid()) -> allow | deny | unsubscribed.
may_see(Contact, #{jid := JID} = C2S) ->
    may_see(Contact, JID, C2S);
may_see(Contact, JID) ->
    may_see(Contact, JID, JID).

may_see(Contact, #jid{luser = User, lserver = Host} = JID, Checked) ->
    To = jid:make(Contact),
    case not is_same_user(JID, To) andalso is_subscribed(User, Host, To) of
        true ->
            ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [Checked, #presence{from = JID, to = To}, out]);
        false ->
            unsubscribed
    end.

is_subscribed(User, Host, Contact) ->
    {Subscription, _, _} = ejabberd_hooks:run_fold(roster_get_jid_info, Host, {none, none, []}, [User, Host, Contact]),
    Subscription == both orelse Subscription == from.

%%% --- the gate ---

gate(User, Host, Answer) ->
    is_gated(User, Host) orelse
        mnesia:dirty_write(#rapport_gate{us = {User, Host}, since = erlang:system_time(second)}),
    order_sessions({Host, User, '_'}, {gate, Answer}).

ungate(User, Host) ->
    mnesia:dirty_delete(rapport_gate, {User, Host}),
    order_sessions({Host, User, '_'}, ungate).

is_gated(User, Host) ->
    mnesia:dirty_read(rapport_gate, {User, Host}) /= [].

gated_users(Host) ->
    mnesia:dirty_select(rapport_gate, [{#rapport_gate{us = {'$1', Host}, _ = '_'}, [], ['$1']}]).

%% Whether what this session broadcasts from now on is held back.
holds({Host, User, _}) ->
    not is_open(Host) andalso is_gated(User, Host).

is_open(Host) ->
    ets:lookup(rapport, {host, Host}) /= [{{host, Host}, held}].

%% Fail-open.
open_gates(Name, #server{hosts = Hosts} = State) ->
    Users = gated_users(Name),
    ?WARNING_MSG("~ts is without Rapport: its ~B gated users show their own presence", [Name, length(Users)]),
    ets:insert(rapport, {{host, Name}, open}),
    [order_sessions({Name, User, '_'}, open) || User <- Users],
    Host = maps:get(Name, Hosts),
    State#server{hosts = Hosts#{Name => Host#host{ready = false, timer = cancel(Host#host.timer)}}}.

%% Their own presence, to all who see another.
leave_plain(Name) ->
    ets:insert(rapport, {{host, Name}, open}),
    [show_truth(Session, jid:make(User, Host, Resource))
     || #session{key = {Host, User, Resource}, held = true} = Session <- sessions({Name, '_', '_'})].

close_gates(Name, Users) ->
    ets:insert(rapport, {{host, Name}, held}),
    [order_sessions({Name, User, '_'}, {gate, false}) || User <- Users].

-type multicast() :: {jid(), binary(), [jid()], stanza(), boolean()}.
-spec multicast_route(multicast()) -> multicast().
multicast_route({From, Domain, To, #presence{meta = #{rapport := own}} = Pres, Wrapped}) ->
    {From, Domain, To, xmpp:put_meta(Pres, rapport, broadcast), Wrapped};
multicast_route(Acc) ->
    Acc.

-spec filter_packet(stanza() | drop) -> stanza() | drop.
filter_packet(drop) ->
    drop;
filter_packet(#presence{} = Pres) ->
    case is_held(Pres) of
        true -> drop;
        false -> to_component(Pres)
    end;
filter_packet(#message{meta = Meta} = Msg) ->
    is_map_key(rapport, Meta) orelse tap_sent(Msg),
    to_component(Msg);
filter_packet(IQ) ->
    seen_push(IQ),
    to_component(IQ).

is_held(#presence{type = available, from = From, to = To, meta = #{rapport := Mark}} = Pres)
  when Mark == own; Mark == broadcast ->
    case ets:lookup(rapport_session, session_key(From)) of
        [#session{key = {Host, _, _}, held = true, presence = Own} = Session] ->
            Held = served(Host) andalso not is_same_user(From, To),
            %% To one contact, and no answer, for that has a <delay/>: one who was approved.
            Held andalso Mark == own andalso xmpp:get_els(Pres) == xmpp:get_els(Own)
                andalso approved(Session, From, To),
            Held;
        _ ->
            false
    end;
is_held(#presence{type = Type, from = From, to = To, meta = Meta})
  when (Type == available orelse Type == unavailable), not is_map_key(rapport, Meta) ->
    {Host, User, _} = Key = session_key(From),
    Contact = bare(To),
    case {ets:lookup(rapport_shown, {Key, Contact}), ets:lookup(rapport_session, Key)} of
        {[#shown{as = offline}], _} when Type == unavailable ->
            true;
        {Shown, [#session{held = true, truth = Truth}]} ->
            %% The contact sees something else now than what it was shown.
            (Shown /= [] orelse Truth andalso is_subscribed(User, Host, To)) andalso
                ets:insert(rapport_shown, #shown{id = {Key, Contact}, key = ?NOTHING, as = other}),
            false;
        _ ->
            false
    end;
is_held(_) ->
    false.

forget_shown(Key) ->
    ets:match_delete(rapport_shown, #shown{id = {Key, '_'}, _ = '_'}).

approved(Session, From, To) ->
    probed(bare(To), Session),
    tell_probe(jid:remove_resource(To), From).

%% The server's own answer carries the mark, so it is held.
probe(#presence{from = From, to = #jid{luser = User, lserver = Host} = To}) ->
    case not is_same_user(From, To) andalso [Session || #session{held = true} = Session <- sessions({Host, User, '_'})] of
        [_ | _] = Sessions ->
            is_subscribed(User, Host, From) andalso asked(Sessions, From, To);
        _ ->
            ok
    end.

%% Each session hears of it before the component does, and so before the component's answer.
asked(Sessions, From, To) ->
    [ejabberd_c2s:cast(Pid, {?MODULE, {probed, bare(From)}}) || #session{pid = Pid} <- Sessions],
    tell_probe(From, To).

%% The contact sees nothing of this session, if it was not shown offline.
probed(Contact, #session{key = Key} = Session) ->
    As = case seen(Session, Contact) of
             #shown{as = offline} -> offline;
             _ -> other
         end,
    ets:insert(rapport_shown, #shown{id = {Key, Contact}, key = ?NOTHING, as = As, probed = true}).

tell_probe(From, #jid{lserver = Host} = To) ->
    gen_server:cast(?MODULE, {tell, Host, el(<<"probe">>, [{<<"from">>, normalised(From)},
                                                           {<<"to">>, jid:encode(bare(To))}])}).

sessions(KeyPattern) ->
    ets:match_object(rapport_session, #session{key = KeyPattern, _ = '_'}).

%%% --- to the component's addresses; forgeries ---

to_component(Pkt) ->
    Component = component(),
    case {xmpp:get_to(Pkt), xmpp:get_meta(Pkt, rapport, none)} of
        {#jid{lserver = Component}, Mark} when Mark /= pass ->
            hand_to_component(Pkt, strip(Pkt)),
            drop;
        {#jid{luser = <<>>, lserver = Host, lresource = <<>>}, none} ->
            case served(Host) andalso strip(Pkt) of
                Stripped when Stripped == false; Stripped == Pkt -> Pkt;
                _ -> forged(Pkt)
            end;
        _ ->
            Pkt
    end.

hand_to_component(Pkt, Pkt) ->
    gen_server:cast(?MODULE, {own, Pkt});
hand_to_component(Pkt, Stripped) ->
    forged(Pkt),
    case xmpp:get_els(Stripped) == [] andalso Stripped of
        #iq{} -> ok;
        #message{body = [], subject = []} -> ok;
        _ -> gen_server:cast(?MODULE, {own, Stripped})
    end.

%% The component's own link elements don't come by here: component_send_packet/1 takes them.
forged(Pkt) ->
    gen_server:cast(?MODULE, {forged, bare(xmpp:get_from(Pkt))}),
    drop.

forged(Sender, #server{forgers = Forgers} = State) when is_map_key(Sender, Forgers) ->
    State#server{forgers = maps:update_with(Sender, fun(Count) -> Count + 1 end, Forgers)};
forged(Sender, #server{forgers = Forgers} = State) ->
    log_forgeries(Sender, State#server{forgers = Forgers#{Sender => 1}}).

log_forgeries(Sender, #server{forgers = Forgers} = State) ->
    case maps:get(Sender, Forgers) of
        0 ->
            State#server{forgers = maps:remove(Sender, Forgers)};
        Count ->
            ?WARNING_MSG("link.forged sender=~ts count=~B", [jid:encode(Sender), Count]),
            erlang:send_after(?FORGERY_LOG, self(), {forgery_log, Sender}),
            State#server{forgers = Forgers#{Sender => 0}}
    end.

%%%===================================================================
%%% 5. Requests
%%%===================================================================
%% The request as a term, or what is wrong with it.
parse_request(get, El) ->
    try
        request(xmpp:get_name(El), El)
    catch
        throw:Reason -> xmpp:err_bad_request(Reason, <<"en">>)
    end;
parse_request(set, _El) ->
    xmpp:err_service_unavailable().

request(<<"roster">>, El) ->
    {roster, attr(<<"user">>, El)};
request(<<"blocks">>, El) ->
    {blocks, attr(<<"user">>, El)};
request(<<"history">>, El) ->
    Max = case optional_integer(<<"max">>, El) of
              undefined -> ?HISTORY_MAX;
              Asked -> max(1, min(Asked, ?HISTORY_MAX))
          end,
    {history, attr(<<"user">>, El), optional_integer(<<"after">>, El), Max};
request(_, _El) ->
    xmpp:err_service_unavailable().

%% In a process of its own: rosters and archives may be slow.
answer(IQ, #stanza_error{} = Error, _Host) ->
    xmpp:make_error(IQ, Error);
answer(IQ, Request, Host) ->
    case jid:nodeprep(element(2, Request)) of
        User when is_binary(User), User /= <<>> ->
            case ejabberd_auth:user_exists(User, Host) andalso result(setelement(2, Request, User), Host) of
                #xmlel{} = Result -> xmpp:make_iq_result(IQ, Result);
                #stanza_error{} = Error -> xmpp:make_error(IQ, Error);
                false -> xmpp:make_error(IQ, xmpp:err_item_not_found())
            end;
        _ ->
            xmpp:make_error(IQ, xmpp:err_item_not_found())
    end.

result({roster, User}, Host) ->
    Items = ejabberd_hooks:run_fold(roster_get, Host, [], [{User, Host}]),
    el(<<"roster">>, [{<<"user">>, User}], lists:map(fun roster_item_el/1, Items));
result({blocks, User}, Host) ->
    el(<<"blocks">>, [{<<"user">>, User}],
       [#xmlel{name = <<"item">>, attrs = [{<<"jid">>, jid:encode(Blocked)}]} || Blocked <- blocked(User, Host)]);
result({history, User, After, Max}, Host) ->
    case gen_mod:is_loaded(Host, mod_mam) of
        true -> history(User, Host, After, Max);
        false -> xmpp:err_feature_not_implemented()
    end.

roster_item_el(#roster_item{jid = JID, name = Name, subscription = Subscription, groups = Groups}) ->
    #xmlel{name = <<"item">>,
           attrs = [{<<"jid">>, normalised(JID)}, {<<"subscription">>, atom_to_binary(Subscription, latin1)}
                    | [{<<"name">>, Name} || Name /= <<>>]],
           children = [#xmlel{name = <<"group">>, children = [{xmlcdata, Group}]} || Group <- Groups]}.

blocked(User, Host) ->
    JID = jid:make(User, Host),
    case gen_mod:is_loaded(Host, mod_privacy) andalso
        mod_blocking:process_iq(#iq{type = get, from = JID, to = JID, sub_els = [#block_list{}]}) of
        #iq{type = result, sub_els = [#block_list{items = Items}]} -> [Blocked || #block_item{jid = Blocked} <- Items];
        false -> []
    end.

history(User, Host, After, Max) ->
    JID = jid:make(User, Host),
    RSM = case After of
              undefined -> #rsm_set{max = Max};
              _ -> #rsm_set{max = Max, 'after' = integer_to_binary(After)}
          end,
    case mod_mam:select(Host, JID, JID, [], RSM, chat, all) of
        {Entries, IsComplete, Count} ->
            Sorted = lists:keysort(2, Entries),
            el(<<"history">>,
               [{<<"user">>, User} |
                [{<<"complete">>, <<"1">>} || IsComplete] ++
                [{<<"last">>, element(1, lists:last(Sorted))} || Sorted /= []] ++
                [{<<"count">>, integer_to_binary(Count)} || is_integer(Count)]],
               lists:flatmap(fun archived_el/1, Sorted));
        {error, _} ->
            xmpp:err_internal_server_error()
    end.

archived_el({Id, At, #forwarded{sub_els = [#message{} = Msg]}}) ->
    [el(<<"tap">>, [{<<"id">>, Id}, {<<"at">>, at(At)}], [reduce(Msg, [])]) || is_tappable(Msg)];
archived_el(_) ->
    [].

%%%===================================================================
%%% Elements and addresses
%%%===================================================================
hand_over(Host, El) ->
    gen_server:cast(?MODULE, {count, Host, El}).

el(Name) ->
    el(Name, []).

el(Name, Attrs) ->
    el(Name, Attrs, []).

el(Name, Attrs, Children) ->
    #xmlel{name = Name, attrs = [{<<"xmlns">>, ?NS_LINK} | Attrs], children = Children}.

is_link_element(El) ->
    xmpp:get_ns(El) == ?NS_LINK.

strip(Pkt) ->
    xmpp:set_els(Pkt, [El || El <- xmpp:get_els(Pkt), not is_link_element(El)]).

children(Wanted, #xmlel{children = Children}) ->
    [Child || #xmlel{name = Name} = Child <- Children, Name == Wanted].

attr(Name, El) ->
    fxml:get_tag_attr_s(Name, El).

integer(Name, El) ->
    case optional_integer(Name, El) of
        undefined -> throw(<<Name/binary, " is missing">>);
        Value -> Value
    end.

optional_integer(Name, El) ->
    case attr(Name, El) of
        <<>> ->
            undefined;
        Value ->
            case string:to_integer(Value) of
                {Integer, <<>>} when is_integer(Integer), Integer >= 0 -> Integer;
                _ -> throw(<<Name/binary, " is no whole number">>)
            end
    end.

user(Name, El) ->
    case jid:nodeprep(attr(Name, El)) of
        User when is_binary(User), User /= <<>> -> User;
        _ -> throw(<<Name/binary, " is no local part">>)
    end.

jid(Name, El) ->
    try
        jid:tolower(jid:decode(attr(Name, El)))
    catch
        error:{bad_jid, _} -> throw(<<Name/binary, " is no JID">>)
    end.

flag(true) -> <<"1">>;
flag(false) -> <<"0">>.

now_at() ->
    at(erlang:system_time(microsecond)).

-spec at(microseconds()) -> binary().
at(Time) ->
    Digits = integer_to_binary(Time),
    <<Seconds:(byte_size(Digits) - 6)/binary, Fraction/binary>> = Digits,
    <<Seconds/binary, $., Fraction/binary>>.

normalised(JID) ->
    jid:encode(jid:tolower(JID)).

bare(JID) ->
    jid:remove_resource(jid:tolower(JID)).

session_key(#jid{luser = User, lserver = Host, lresource = Resource}) ->
    {Host, User, Resource}.

is_same_user(#jid{luser = User, lserver = Host}, #jid{luser = User, lserver = Host}) -> true;
is_same_user(_, _) -> false.

component() ->
    ets:lookup_element(rapport, component, 2).

served(Host) ->
    ets:member(rapport, {host, Host}).

cancel(undefined) ->
    undefined;
cancel(Timer) ->
    erlang:cancel_timer(Timer),
    undefined.
