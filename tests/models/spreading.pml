/*
Spreading a directory: it is closed, and its names go into a part, while others save and delete.

Time goes by in steps, and a request can take any time. Each process compares only times of its own.
The directory has two names of one digit: `F`, which two processes save, and `G`, which one process
deletes and another one saves. The link of a change is told by the change's number.

    here            in the code
    look            `Lookup.ask` and `Layouts.learn`
    look_if_old     `Builder.layout`, by `Fanout.may_use`
    is_sure         `Fanout.is_sure`
    make_part       `Builder.make_part` and `Builder.link_parts`
    saves           `Changer.write`, `_write` and `_repeat_in_parts`
    deletes         `Changer.unlink`
    closes          `Builder.advance`, `is_due` and `finish_closing`
    found           `format.contents_of` and `format.gather`
*/

#ifndef PACE
#define PACE 1
#endif
#define END (4 * PACE)                   /* steps of time */
#define USE_WITHIN (1 * PACE)   /* `states.RULES` */
#ifdef SURE_TOO_LONG
#define SURE_WITHIN (4 * PACE)
#else
#define SURE_WITHIN (2 * PACE)
#endif
#ifdef CLOSES_TOO_SOON
#define NEXT_AFTER (1 * PACE)
#else
#define NEXT_AFTER (3 * PACE)
#endif

#define F 0
#define G 1
#define OLD 5                   /* the link that G has at the beginning */

mtype = { open, closing, closed };
mtype = { waiting, made, taken, missing };

byte now = 0;
mtype state = open;
bool has_part = false;
byte links[2];                  /* what the names lead to in the directory; 0: nothing */
byte part[2];                   /* and in its part */
bool is_stray[2];               /* whether a link in the directory is younger than the mark "closed" */
mtype told[6] = waiting;
byte over = 0;

#define found(name) (!has_part -> links[name] : \
    (part[name] != 0 -> part[name] : (is_stray[name] -> links[name] : 0)))

/* Each process that looks has these. */
#define MEMORY byte asked, since, seen[2]; mtype known = open; bool knows_part; mtype result
#define FORGET asked = 0; since = 0; seen[F] = 0; seen[G] = 0; known = open; \
    knows_part = false; result = waiting        /* fewer states */

/* A reading counts from the moment when it begins, a state from the moment when it is learned. */
inline look() {
    asked = now;
    atomic {
        if
        :: state != known -> known = state; since = now
        :: else
        fi;
        knows_part = has_part;
        seen[F] = (has_part && !is_stray[F] -> 0 : links[F]);
        seen[G] = (has_part && !is_stray[G] -> 0 : links[G])
    }
}

inline look_if_old() {
    if
    :: known != closed && now - asked >= USE_WITHIN -> look()
    :: else
    fi
}

inline is_sure(sure) {
#ifdef NO_SECOND_LOOK
    sure = true
#else
#ifdef SURE_WHILE_CLOSING
    sure = (known != closed && now - asked <= SURE_WITHIN)
#else
    sure = (known == open && now - asked <= SURE_WITHIN)
#endif
#endif
}

inline make_part() {
    if
    :: knows_part
    :: !knows_part ->
#ifndef OLD_READING
        look();
#endif
        atomic {
            if
#ifdef TWO_PARTS
            :: true ->
#else
            :: !has_part ->
#endif
                has_part = true; part[F] = seen[F]; part[G] = seen[G]
            :: else
            fi;
            knows_part = true
        }
    fi
}

/* Save a name that must be free. */
proctype saves(byte me, name) {
    MEMORY;
    bool sure;
    look();
    do
    :: told[me] != waiting -> break
    :: told[me] == waiting ->
        look_if_old();
        if
        :: known == closed ->
            make_part();
            atomic {
                if
                :: part[name] == 0 -> part[name] = me; told[me] = made
                :: else -> told[me] = taken
                fi
            }
        :: known != closed ->
            atomic {
                if
                :: links[name] == 0 ->
                    links[name] = me; is_stray[name] = (state == closed); result = made
                :: else -> result = taken
                fi
            }
            is_sure(sure);
            if
            :: sure
            :: !sure -> look()
            fi;
            if
            :: sure || known != closed -> told[me] = result
            :: !sure && known == closed && result == made ->
                make_part();
                if
                :: part[name] == me -> told[me] = made
                :: part[name] != me ->
                    atomic {
                        if
                        :: links[name] == me -> links[name] = 0
                        :: else
                        fi
                    }
                fi
            :: !sure && known == closed && result == taken
            fi
        fi
    od;
    atomic { FORGET; over++ }
}

/* Delete the old link of G. */
proctype deletes(byte me) {
    MEMORY;
    bool sure;
    look();
    do
    :: told[me] != waiting -> break
    :: told[me] == waiting ->
        look_if_old();
        if
        :: known == closed ->
            make_part();
            if
            :: links[G] == OLD -> links[G] = 0      /* superseded; other clients would show it */
            :: else
            fi;
            atomic {
                if
                :: part[G] != 0 -> part[G] = 0; told[me] = made
                :: else -> told[me] = missing
                fi
            }
        :: known != closed ->
            atomic {
                if
                :: links[G] != 0 -> links[G] = 0; result = made
                :: else -> result = missing
                fi
            }
            is_sure(sure);
            if
            :: sure
            :: !sure -> look()
            fi;
            if
            :: sure || known != closed -> told[me] = result
            :: !sure && known == closed ->
                make_part();
#ifndef NO_LOOK_AT_THE_LINK
                if
                :: part[G] == OLD
                :: part[G] != OLD -> told[me] = result
                fi
#else
                if
                :: part[G] != 0
                :: part[G] == 0 -> told[me] = result
                fi
#endif
            fi
        fi
    od;
    atomic { FORGET; over++ }
}

/* Take the directory to its next state, and make its part. */
proctype closes() {
    MEMORY;
    look();
    if
    :: atomic { state == open -> state = closing };
        known = closing;
        since = now
    :: known == closing
    :: known != closing && state != open -> look()
    fi;
    if
    :: known == closing ->
        if
        :: now - since >= NEXT_AFTER -> look()
        :: now == END -> goto dies
        fi;
        if
        :: known != closed ->
            state = closed;
#ifdef OLD_READING
            known = closed          /* the part is made of what was seen before the mark */
#else
            look()
#endif
        :: else
        fi
    :: else
    fi;
    make_part();
dies:
    atomic { FORGET; over++ }
}

proctype clock() {
    do
    :: atomic { now < END -> now++ }
    :: now == END -> break
    od
}

init {
    links[G] = OLD;
    atomic {
        run clock();
        run closes();
#ifndef ONE_DELETES
        run saves(1, F);
#endif
#ifdef TWO_SAVE
        run saves(2, F);
#endif
#ifdef TWO_CLOSE
        run closes();
#endif
#ifdef ONE_DELETES
        run deletes(3);
        run saves(4, G);
#endif
    }
    over == 3;
    /* Every acknowledged link is found, and nobody else was given its name. */
    assert(told[1] != made || found(F) == 1);
    assert(told[2] != made || found(F) == 2);
    assert(told[4] != made || found(G) == 4);
    /* What was deleted stays deleted. */
    assert(told[3] != made || found(G) != OLD);
    /* A name that is taken is taken by something. */
    assert(told[1] != taken || found(F) != 0);
    assert(told[2] != taken || found(F) != 0)
}
