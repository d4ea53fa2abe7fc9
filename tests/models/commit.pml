/*
The commit queue: links and deletions of one name, while answers are lost.

One gateway serves two processes. Each change goes out as a request that carries a mark; here its
number. A request can be lost, its answer can be lost, and the gateway can be so slow that the
client gives up while the request is still under way. All files have the same bytes, so a cap does
not tell whose link a name has.

The protocol relies on this: the gateway takes the requests of one process in the order in which the
process sent them, given-up ones included. The gateway lists a directory after the changes that it
has already. See txtahoe/docs/gateway.md, 2.15.

Changes: 1 (first process) links the name, and 3 deletes that link again. 4 (another thread of the
first process) replaces the name. 2 (second process) links the name.

    here         in the code
    request      one attempt of `Client.set_children` or `Client.delete`
    change       `DirectoryOperations._change`
    is_made      the functions `is_done` in `set_children` and `delete`
    turn         `CommitQueue._commit_next`: one change of a directory at a time
*/

mtype = { waiting, made, taken, missing, unknown };
mtype = { answered, lost, given_up };
mtype = { linking, replacing, deleting };

byte name = 0;              /* the change whose link the name has; 0: no link */
mtype told[5] = waiting;    /* what the caller of a change was told */
bool was_made[5];           /* whether the gateway has ever made the link of a change */
byte gone_by[5];            /* the change that took the link of a change away */
byte late[3];               /* the request of a process that its client has given up */
mtype late_kind[3];
bool turn = false;
byte over = 0;              /* callers that have their result */

/* The gateway makes a change. */
inline execute(number, kind, result) {
    if
    :: kind == linking && name != 0 -> result = taken
    :: kind == deleting && name == 0 -> result = missing
    :: kind == deleting && name != 0 -> gone_by[name] = number; name = 0; result = made
    :: kind == replacing || (kind == linking && name == 0) ->
        if
        :: name != 0 && name != number -> gone_by[name] = number
        :: else
        fi;
        name = number; was_made[number] = true; result = made
    fi
}

inline execute_late(who) {
    if
    :: late[who] != 0 -> execute(late[who], late_kind[who], ignored); late[who] = 0
    :: else
    fi
}

inline in_order(who) {
#ifndef REORDERS
    execute_late(who)
#else
    skip
#endif
}

inline request(who, number, kind) {
    atomic {
        in_order(who);
        if
        :: execute(number, kind, result); answer = answered
        :: execute(number, kind, result); answer = lost
        :: answer = lost
        :: late[who] == 0 -> late[who] = number; late_kind[who] = kind; answer = given_up
        fi
    }
}

/* `seen`: the link that the caller of a deletion saw in its turn. */
inline is_made(number, kind, seen) {
#ifdef NO_MARK
    done = (kind == deleting -> name == 0 : name != 0)
#else
    done = (kind == deleting -> name != seen : name == number)
#endif
}

inline change(who, number, kind, seen) {
    tries = 0; was_repeated = false;
    do
    :: told[number] != waiting -> break
    :: told[number] == waiting && tries == 3 -> told[number] = unknown
    :: told[number] == waiting && tries < 3 ->
        request(who, number, kind);
        tries++;
        if
        :: answer == answered && result == made -> told[number] = made
        :: answer == answered && result == missing ->
            told[number] = (was_repeated -> made : missing)
        :: else ->
#ifdef NO_READING_BACK
            if
            :: answer == answered -> told[number] = taken
            :: else
            fi;
#else
            if
            :: told[number] = unknown       /* reading back fails */
            :: true -> atomic {             /* else `else` below would belong to this choice */
                in_order(who);
                is_made(number, kind, seen);
                was_repeated = (kind == deleting);
                if
                :: done -> told[number] = made
                :: !done && answer == answered -> told[number] = taken
                :: !done && answer == given_up -> told[number] = unknown
                :: else
                fi
               }
            fi;
#endif
        fi
    od;
    result = 0; answer = 0; tries = 0; done = false; was_repeated = false   /* fewer states */
}

inline begin_turn() {
#ifndef NO_TURNS
    atomic { !turn -> turn = true }
#else
    skip
#endif
}

proctype saves_and_deletes() {
    mtype result, answer, ignored;
    byte tries, seen_now;
    bool done, was_repeated;
    begin_turn();
    change(1, 1, linking, 0);
    turn = false;
    if
    :: told[1] == made ->
        begin_turn();
        seen_now = name;                    /* `_commit` looks, then decides */
        if
        :: seen_now == 1 -> change(1, 3, deleting, 1)
        :: else
        fi;
        turn = false
    :: else
    fi;
    over++
}

proctype replaces() {
    mtype result, answer, ignored;
    byte tries;
    bool done, was_repeated;
    begin_turn();
    change(1, 4, replacing, 0);
    turn = false;
    over++
}

proctype saves() {
    mtype result, answer, ignored;
    byte tries;
    bool done, was_repeated;
    change(2, 2, linking, 0);
    over++
}

/* The gateway can get to a given-up request at any time. */
proctype straggles() {
    mtype ignored;
end:
    do
    :: atomic { late[1] != 0 -> execute_late(1) }
    :: atomic { late[2] != 0 -> execute_late(2) }
    od
}

init {
    atomic { run saves_and_deletes(); run replaces(); run saves(); run straggles() }
    (over == 3 && late[1] == 0 && late[2] == 0);
    /* A caller that was told of success has been given the name. */
    assert(told[1] != made || was_made[1]);
    assert(told[2] != made || was_made[2]);
    assert(told[4] != made || was_made[4]);
    /* A caller that was told that the name is taken has no link: no file is there twice. */
    assert(told[1] != taken || name != 1);
    assert(told[2] != taken || name != 2);
    /* No acknowledged link is lost: only its own deletion, or a replacement, takes it away. */
    assert(told[1] != made || gone_by[1] == 0 || gone_by[1] == 3 || gone_by[1] == 4);
    assert(told[2] != made || gone_by[2] == 0 || gone_by[2] == 4);
    assert(told[4] != made || gone_by[4] == 0);
    /* What was deleted stays deleted. */
    assert(told[3] != made || name != 1);
}
