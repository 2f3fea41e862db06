%% Boots RabbitMQ, gives its user the configured password, and keeps Erlang's `global' from waiting
%% for ever.
%%
%% A node that comes back before all others noticed that it was gone (its power returned within
%% net_ticktime, or it paused in a minority) may start no further: `global' waits for a peer that
%% still answers the node's former connection. RabbitMQ 3.10.8 knows this and fakes nodedown and
%% nodeup, but in words that `global' no longer understands since Erlang 25.1 (rabbitmq-server issue
%% 6034, mended upstream in 3.10.9 and not in Debian 12): here they are said in today's words.
-module(labctl_boot).
-export([boot/0]).

-define(INTERVAL, 2000).
%% Synchronising takes milliseconds; the same attempt seen this often is stuck.
-define(PATIENCE, 3).

%% Instead of `rabbit:boot/0' (RABBITMQ_BOOT_MODULE).
boot() ->
    spawn(fun() -> watch(#{}) end),
    rabbit:boot(),
    agree_on_password().

%% The configured password is that of a new user only; data from before may know another.
agree_on_password() ->
    {ok, User} = application:get_env(rabbit, default_user),
    {ok, Password} = application:get_env(rabbit, default_pass),
    case rabbit_access_control:check_user_pass_login(User, Password) of
        {ok, _} -> ok;
        _ -> rabbit_auth_backend_internal:change_password(User, Password, <<"labctl">>)
    end.

%% Look while RabbitMQ does not run: it boots, or begins again after a minority's pause.
%% `Seen': attempt => how often it was seen.
watch(Seen) ->
    timer:sleep(?INTERVAL),
    case rabbit:is_running() of
        true ->
            watch(#{});
        false ->
            Again = maps:from_list([{A, maps:get(A, Seen, 0) + 1} || A <- attempts()]),
            maps:foreach(fun mend/2, Again),
            watch(maps:filter(fun(_, N) -> N < ?PATIENCE end, Again))
    end.

%% The synchronisations with peers that are under way: {peer, tag}.
attempts() ->
    {status, _, _, [Dictionary | _]} = sys:get_status(global_name_server),
    [{Peer, Tag} || {{sync_tag_his, Peer}, Tag} <- Dictionary].

mend({Peer, _}, ?PATIENCE) ->
    logger:warning("global is stuck at ~s: both begin anew", [Peer]),
    try
        Ours = connection(sys:get_state(global_name_server), Peer),
        Theirs = connection(erpc:call(Peer, sys, get_state, [global_name_server]), node()),
        renew({global_name_server, node()}, Peer, Ours),
        renew({global_name_server, Peer}, node(), Theirs)
    catch
        Class:Reason -> logger:warning("~s: ~p:~p", [Peer, Class, Reason])
    end;
mend(_, _) ->
    ok.

renew(Server, Node, Connection) ->
    Server ! {nodedown, Node, #{connection_id => Connection}},
    Server ! {nodeup, Node, #{connection_id => Connection}}.

%% global's state is a record whose third element maps what it knows of peers.
connection(State, Node) ->
    maps:get({connection_id, Node}, element(3, State), undefined).
