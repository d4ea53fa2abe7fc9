/*
The spool: its journal, and the processes of a host that bring its entries to the grid.

One host saves version 1 under a free name, then newer versions in its place, and deletes the file.
Two uploaders bring the entry to the grid. One of them can die between any two of its steps. A
request can be lost, or made although its answer is lost, or made late. Another host saves a file
under the name at some time.

The protocol relies on this: the gateway takes a late request of a process before all requests that
are sent after that process has given it up, or has died.

    here            in the code
    entry           a row of the journal
    saves           `Spool.add`, which is one transaction
    deletes         `SpooledTree.delete`
    uploads         `Uploader.bring`: it uploads, then links
    settle          `Uploader._settle`
    uploading       a `Lane`: each entry is in one, by its size, and the lanes upload side by side
    turn            `Uploader._linking`, and `Spool.lock`, which a process loses when it dies
    seen            the file that a caller has opened and replaces: `expected` of `Spool.add`
    over            `Entry.over`, by `replaceable`
*/

#ifdef BOTH
#define REPLACES
#define DELETES
#endif

mtype = { waiting, uploaded, linked };

#define NEWEST 3
#define OTHER 4                 /* the file of the other host */
#define BIT(version) (1 << (version))

byte entry = 0;                 /* the version in the journal under the name; 0: none */
mtype state = waiting;
byte over = 0;                  /* the versions that it can replace, as bits */
bool is_beside[4];              /* a version has got another name, in the journal and on the grid */

byte name = 0;                  /* the version under the name on the grid; 0: none */
byte late = 0;                  /* a request that may be made late: its version */
bool late_replaces;

byte uploading[4];              /* the uploader that uploads a version */
byte turn = 0;                  /* the uploader that links */
byte saved = 0;                 /* the last version of which a caller was told that it is saved */
bool has_other = false;         /* the other host was told so of its file */
bool was_deleted = false;       /* the caller was told so */
bool is_one_dead = false;       /* one uploader can die */
byte ended = 0;                 /* callers that have their result, and the other host */

inline make(version, replaces) {
    if
    :: name == 0 || replaces -> name = version
    :: else                     /* the name is taken */
    fi
}

inline make_late() {
    if
    :: late != 0 -> make(late, late_replaces); late = 0
    :: else
    fi
}

inline in_order() {
#ifndef REORDERS
    make_late()
#else
    skip
#endif
}

/* `is_over`: an answer tells that the change was made. */
inline request(version, replaces) {
    atomic {
        in_order();
        if
        :: is_over = (name == 0 || replaces); make(version, replaces)
        :: is_over = false; make(version, replaces)                   /* the answer is lost */
        :: is_over = false                                            /* the request is lost */
        :: late == 0 -> is_over = false; late = version; late_replaces = replaces
        fi
    }
}

/* The state of an entry changes only if the entry is still there. */
inline update(version, new) {
#ifdef UPDATES_ANY_ENTRY
    state = new
#else
    if
    :: entry == version -> state = new
    :: else
    fi
#endif
}

#ifdef NO_LOCKS
#define is_free(lock) true
#define take(lock) skip
#else
#define is_free(lock) (lock == 0)
#define take(lock) lock = me
#endif

inline rest() {
    uploading[mine] = (uploading[mine] == me -> 0 : uploading[mine]);
    turn = (turn == me -> 0 : turn);
    mine = 0; older = 0; there = 0; is_over = false             /* fewer states */
}

inline or_die() {
    if
    :: atomic { !is_one_dead -> is_one_dead = true; goto dead }
    :: true
    fi
}

proctype uploads(byte me) {
    byte mine, older, there;
    bool is_over;
end:
    do
    :: atomic { entry != 0 && state == waiting && is_free(uploading[entry]) ->
        mine = entry; take(uploading[mine]) };
        or_die();
#ifdef LINKS_BEFORE_IT_TELLS
        older = over;
        goto links;
#endif
        atomic { update(mine, uploaded); rest() }
    :: atomic { is_free(turn) && entry != 0 && state == uploaded ->
        take(turn); mine = entry; older = over };
links:
        if
        :: older == 0 -> request(mine, false)
        :: else
        fi;
        or_die();
        if
        :: is_over
        :: else ->                              /* settle */
            atomic { in_order(); there = name };
            or_die();
            if
            :: there == 0 -> request(mine, false)
#ifdef REPLACES_ANY_FILE
            :: else -> request(mine, true)
#else
            :: there == mine || (older & BIT(there)) -> request(mine, true)
            :: else ->
                atomic {
                    if
                    :: entry == mine -> is_beside[mine] = true; entry = 0; over = 0
                    :: else
                    fi
                }
#endif
            fi
        fi;
        or_die();
        if
        :: is_over -> atomic { update(mine, linked) }
        :: else
        fi;
        atomic { rest() }
    od;
dead:
    atomic { rest() }
}

proctype saves() {
    byte seen, newest;
    atomic { entry = 1; state = waiting; saved = 1 };
#ifdef REPLACES
    do
    :: saved < NEWEST && entry != 0 ->
        seen = entry;
        atomic {
            if
            :: entry == seen ->
#ifdef FORGETS_OLDER_VERSIONS
                over = 0;
#else
                if
                :: state == waiting
                :: state == uploaded -> over = over | BIT(entry)
                :: state == linked -> over = BIT(entry)
                fi;
#endif
                saved++; entry = saved; state = waiting
            :: else                             /* another host has the name by now */
            fi
        }
    :: break
    od;
#endif
#ifdef DELETES
    newest = saved;
    atomic {
        if
#ifdef DELETES_AT_ONCE
        :: entry != 0 -> entry = 0; was_deleted = true
#else
        :: entry != 0 && state == waiting && over == 0 -> entry = 0; was_deleted = true
        :: entry != 0 && state == linked -> seen = newest + 1
#endif
        :: entry == 0                           /* another host has the name by now */
        fi
    };
    if
    :: seen == newest + 1 ->
        atomic { in_order(); name = (name == newest -> 0 : name) };
        atomic { entry = (entry == newest -> 0 : entry) };
        was_deleted = true
    :: else
    fi;
#endif
    seen = 0; newest = 0;
    ended++
}

proctype other_host() {
    atomic {
        if
        :: name == 0 -> name = OTHER; has_other = true
        :: true
        fi
    };
    ended++
}

/* The gateway can get to a late request at any time. */
proctype straggles() {
end:
    do
    :: atomic { late != 0 -> make_late() }
    od
}

init {
    atomic { run saves(); run other_host(); run uploads(1); run uploads(2); run straggles() }
    (ended == 2 && late == 0 && (entry == 0 || state == linked));
    /* The newest acknowledged version is under its name, or beside it; a deleted one is nowhere. */
    assert(was_deleted -> name != saved && !is_beside[saved] : name == saved || is_beside[saved]);
    /* An older version is not under the name. */
    assert(name == 0 || name == saved || name == OTHER);
    /* A version gets another name only if the other host has its name. */
    assert(!(is_beside[1] || is_beside[2] || is_beside[3]) || has_other);
    /* The newest version is there once. */
    assert(name != saved || !is_beside[saved]);
    /* The file of the other host is not replaced. */
    assert(!has_other || name == OTHER)
}
