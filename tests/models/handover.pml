/*
Handing over the writer: the gateway that makes all changes.

A record says which gateway makes the changes, or that none does. Two processes look at it and make
a change; two operators hand the writer over. Time goes by in steps.

The protocol relies on this: a change is over `CHANGE` steps after it began. An operator that has
looked at the record a second time has changed it, or has died, within `CHANGE` steps. A gateway
that refuses connections makes no changes.

    here            in the code
    changes         `Writer.transport`, and a change after it
    hands_over      `hand_over`
    record          the link `.tahoe-maintenance/writer`, a `WriterRecord`; `writer_of` reads it
    told_by         `WriterRecord.told_by`
    WAIT            `wait` of `hand_over`
*/

#define KNOWN 1                 /* steps; `KNOWN_SECONDS` */
#define CHANGE 1                /* steps; `END_SECONDS` */
#ifdef NO_WAIT_FOR_CHANGES
#define WAIT KNOWN
#else
#define WAIT (KNOWN + CHANGE)
#endif
#define END 7

#ifdef SKIPS_SAYING_NOBODY
#define NO_LOOK_AT_THE_RECORD
#endif

#define NOBODY 0
#define OLD 1

byte now = 0;
byte record = OLD;              /* the gateway that makes the changes */
byte told_by = 0;               /* the operator that wrote the record */
byte under_way[4];              /* changes that a gateway makes now */
byte until[4] = 255;            /* the change of a process or an operator is over by then */

/* A process looks, and makes a change at some time while it relies on its look. */
proctype changes(byte me) {
    byte url, looked;
    looked = now;
    url = record;                   /* the answer can come late */
#ifdef COUNTS_FROM_THE_ANSWER
    looked = now;
#endif
    atomic {
        if
#ifdef USES_A_SLOW_ANSWER
        :: url != NOBODY ->
#else
        :: url != NOBODY && now - looked <= KNOWN ->
#endif
            under_way[url]++;
            until[me] = now + CHANGE;
            /* At no time do two gateways make changes. */
            assert((under_way[1] > 0) + (under_way[2] > 0) + (under_way[3] > 0) == 1)
        :: else -> goto over
        fi
    }
    atomic { under_way[url]--; until[me] = 255 };
over:
    url = 0; looked = 0             /* fewer states */
}

/* `me` is also the gateway that is to make the changes: 2 or 3. */
proctype hands_over(byte me) {
    byte began;
#ifndef SKIPS_SAYING_NOBODY
    atomic { record = NOBODY; told_by = me };
#endif
    began = now;
    if
    :: now - began > WAIT
    :: now == END -> goto dies
    fi;
#ifndef NO_LOOK_AT_THE_RECORD
    atomic {
        if
        :: record == NOBODY && told_by == me -> until[me] = now + CHANGE
        :: else -> goto dies
        fi
    }
#endif
    atomic { record = me; told_by = me; until[me] = 255 };
dies:
    began = 0
}

proctype clock() {
    do
    :: atomic {
        now < END && now < until[0] && now < until[1] && now < until[2] && now < until[3] -> now++
       }
    :: now == END -> break
    od
}

init {
    atomic { run clock(); run changes(0); run changes(1); run hands_over(2); run hands_over(3) }
}
