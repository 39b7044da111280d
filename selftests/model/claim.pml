/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The flow table's protocol between CPUs (datapath/flow.h, flow_new.h, loader/flowtable.c), for
 * spin: every order of the loads, stores and compare-and-swaps of two or three processes is tried. Steps
 * are named after the C functions they stand for. Memory is sequentially consistent here: that
 * compare-and-swaps are full barriers and that readers' loads depend on each other is what makes it
 * so on machines that reorder.
 *
 * One pair of buckets with PLACES places, where the names of all flows meet; every flow has the
 * names FORWARD and REPLY. Time is left out: a flow that is CLOSED gives way, NEW may be evicted,
 * OPEN is never. What holds always is asserted between any two steps (never), what holds when
 * all are done by init.
 *
 * BREAK_* break the protocol on purpose; selftests/model.sh expects spin to find each.
 */
/*
 * Who runs: what each may do, and to which of the flows 0 and 1, as bits. Two that may do anything,
 * or three in one of the scenes where it takes three.
 */
#if defined(SCENE_REUSE) /* a port used again and again, and another flow that wants one of the names */
#define CPU1   SYN, 2
#define CPU2   SYN | FIN, 1
#define OPS2   3
#define PLACES 4
#define SHARED
#elif defined(SCENE_ONE_NAME) /* two at one name while another goes */
#define CPU1	SYN, 1
#define CPU2	SYN, 1
#define CPU3	END, 3
#define RECORDS 3
#elif defined(SCENE_OTHER_NAME) /* two at one name, in the record of another one */
#define CPU1   SYN, 2
#define CPU2   SYN, 2
#define PLACES 4
#elif defined(SCENE_LATE_PACKET) /* a record is ended and given another life under a packet */
#define CPU1 SYN, 1
#define CPU2 ANSWER | FIN, 1
#define CPU3 SWEEP, 1
#elif defined(SCENE_EVICTION) /* a flow is answered, and wanted for others */
#define CPU1 ANSWER | FIN, 1
#define CPU2 SYN, 2
#define CPU3 MIGRATE, 2
#elif defined(SCENE_SHARED) /* two flows that look the same from the backend's side */
#define CPU1	SYN, 1
#define CPU2	SYN, 2
#define CPU3	END, 3
#define RECORDS 3
#define PLACES	4
#define SHARED
#elif defined(SCENE_NEXT_LIFE) /* a record's next flow is closed while its last one is looked at */
#define CPU1 SYN, 1
#define CPU2 SYN, 2
#define CPU3 FIN, 2
#elif defined(SCENE_SWEEP) /* several end what is being made and used */
#define CPU1 SWEEP, 1
#define CPU2 SWEEP, 1
#define CPU3 SYN | ANSWER | FIN, 1
#else
#define CPU1 ANY, 3
#define CPU2 ANY, 3
#endif

/* What each does, one after the other. */
#define OPS1 1
#ifndef OPS2
#define OPS2 1
#endif
#define OPS3 1

#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef PLACES
#define PLACES 3
#endif

#define FORWARD 0
#define REPLY	1

#define FREE   0
#define NEW    1
#define OPEN   2
#define CLOSED 3

/* struct np_flow. A word is {state, life}; val stands for all that packets are rewritten to. */
byte seq[RECORDS];
byte state[RECORDS];
byte life[RECORDS];
byte key[RECORDS];
byte val[RECORDS];
byte index[RECORDS * 2]; /* by record and name: place plus one */

byte entry[PLACES]; /* of the index: 1 + 2 * record + name, or 0 */

byte left; /* CPUs that have something to do */

#define ENTRY(r, name)	 (1 + 2 * (r) + (name))
#define ENTRY_RECORD(e)	 (((e) - 1) / 2)
#define ENTRY_NAME(e)	 (((e) - 1) % 2)
#define ODD(s)		 ((s) % 2)
#define INDEX(r, name)	 index[2 * (r) + (name)]

/* Tuples by flow: with SHARED, two flows look the same from the backend's side. */
#ifdef SHARED
#define TUPLE(k, name) ((name) == FORWARD -> (k) : 0)
#else
#define TUPLE(k, name) (k)
#endif

#define LIVE(r) (!ODD(seq[r]) && state[r] != FREE)
#define NAMED(r, name) (INDEX(r, name) != 0 && entry[INDEX(r, name) - 1] == ENTRY(r, name))

/* Between the steps of one CPU others may run; an atomic one has one access to memory, or is one. */

inline unname(r)
{
	un = 0;
	do
	:: un < 2 ->
		if
		:: INDEX(r, un) != 0 ->
#ifdef BREAK_FORGET_BEFORE_REMOVE
			at = INDEX(r, un) - 1;
			INDEX(r, un) = 0;
#else
			at = INDEX(r, un) - 1;
#endif
			atomic { /* the entry is this record's or not; nobody else may touch it */
				if
				:: entry[at] == ENTRY(r, un) -> entry[at] = 0
				:: else
				fi
			};
#ifndef BREAK_FORGET_BEFORE_REMOVE
			INDEX(r, un) = 0
#endif
		:: else
		fi;
		un++
	:: else -> break
	od
}

inline flow_release(r)
{
	unname(r);
	atomic {
		state[r] = FREE;
		seq[r]++ /* flow_publish */
	}
}

/* Sets won. */
inline claim_cas(r, s)
{
#ifdef BREAK_CLAIM_WITHOUT_CAS
	won = (seq[r] == s);
	if
	:: won -> seq[r] = s + 1
	:: else
	fi
#else
	atomic {
		won = (seq[r] == s);
		if
		:: won -> seq[r] = s + 1
		:: else
		fi
	}
#endif
}

inline end_flow(r, s)
{
	claim_cas(r, s);
	if
	:: won -> flow_release(r)
	:: else
	fi
}

/* rc: whether a new flow of this name may not be. */
inline name_taken(e, name)
{
	q = ENTRY_RECORD(e);
#ifdef BREAK_SEQ_AFTER_NAME
	match = (TUPLE(key[q], name) == TUPLE(k, name));
	qs = seq[q];
#else
	qs = seq[q];
	match = (TUPLE(key[q], name) == TUPLE(k, name));
#endif
	if
	:: !match
	:: else ->
		if
		:: ODD(qs) -> rc = 1 /* -EBUSY */
		:: else ->
			if
			:: state[q] == CLOSED || state[q] == FREE -> /* flow_gives_way */
				claim_cas(q, qs);
				if
				:: won ->
					assert(TUPLE(key[q], name) == TUPLE(k, name));
					flow_release(q)
#ifdef BREAK_IGNORE_LOST_END
				:: else
#else
				:: else -> rc = 1 /* -EBUSY */
#endif
				fi
			:: else -> rc = 1 /* -EEXIST */
			fi
		fi
	fi
}

/* A look through both buckets; place: the own one, or where to find a free one. */
inline look(name)
{
	i = 0;
	do
	:: atomic {
		i < PLACES && rc == 0 ->
		e = entry[i];
		i++;
		if
		:: e == 0 && looks == 0 -> place = i
		:: e != 0 && (ENTRY_NAME(e) != name || (looks == 1 && i == place)) -> e = 0
		:: else
		fi
	   };
		if
		:: e != 0 -> name_taken(e, name)
		:: else
		fi
	:: else -> break
	od
}

inline name_insert(r, name)
{
	atomic {
		place = 0;
		rc = 0;
		looks = 0;
		won = 0
	};
	do
	:: INDEX(r, name) != 0 && looks == 0 -> break /* kept: see reclaim */
	:: INDEX(r, name) == 0 && looks == 0 ->
		look(name);
		if
		:: rc != 0 || place == 0 -> rc = 1; break /* taken, or -ENOSPC */
		:: else
		fi;
#ifndef BREAK_NAME_AFTER_STORE
		INDEX(r, name) = place;
#endif
		atomic {
			won = (entry[place - 1] == 0);
			if
			:: won -> entry[place - 1] = ENTRY(r, name)
			:: else
			fi
		};
#ifdef BREAK_NAME_AFTER_STORE
		if
		:: won -> INDEX(r, name) = place
		:: else
		fi;
#endif
		if
		:: !won -> INDEX(r, name) = 0; rc = 1; break /* -EBUSY */
		:: else
		fi;
#ifdef BREAK_LOOK_ONCE
		break;
#endif
		looks = 1
	:: looks == 1 -> /* name_has_rival */
		look(name);
		if
		:: rc != 0 ->
			entry[place - 1] = 0;
			INDEX(r, name) = 0
		:: else
		fi;
		break
	od
}

inline any_record(r)
{
	if
	:: r = 0
	:: r = 1
#if RECORDS > 2
	:: r = 2
#endif
	fi
}

/* Take any record that is not OPEN: which are looked at is not modelled. Sets won. */
inline claim(r)
{
	s = seq[r];
	won = 0;
	if
	:: !ODD(s) && state[r] != OPEN ->
#ifndef BREAK_CLAIM_JUDGED
		atomic { /* flow_give_up: it ends by its word, if it is what it was judged by */
			w = state[r];
			wl = life[r]
		};
		won = (w == FREE);
		if
		:: w != FREE && w != OPEN && wl == s ->
			atomic {
				won = (state[r] == w && life[r] == wl);
				if
				:: won -> state[r] = FREE
				:: else
				fi
			}
		:: else
		fi;
#else
		won = 1;
#endif
		if
		:: won -> claim_cas(r, s)
		:: else
		fi;
		if
		:: won ->
			assert(state[r] != OPEN);
#ifndef BREAK_KEEP_NAMES
			unname(r)
#endif
		:: else
		fi
	:: else
	fi
}

/*
 * The record that the flow before this one left, with its names or, as that had another backend,
 * without. Sets won, and r to it.
 */
inline reclaim()
{
	i = 0;
	won = 0;
	do
	:: atomic {
		i < PLACES && !won ->
		e = entry[i];
		i++
	   };
		if
		:: e != 0 && ENTRY_NAME(e) == FORWARD ->
			r = ENTRY_RECORD(e);
#ifdef BREAK_RECLAIM_BY_LATE_SEQ
			match = (state[r] == FREE && key[r] == k);
			s = seq[r];
#else
			s = seq[r];
			match = (state[r] == FREE && key[r] == k);
#endif
			if
			:: match && !ODD(s) -> claim_cas(r, s)
			:: else
			fi
		:: else
		fi
	:: else -> break
	od;
	assert(!won || state[r] == FREE);
	if
	:: won
	:: won -> unname(r)
	:: else
	fi
}

/* create() in connect.h, and flowtable_insert(): a flow with key k, or nothing. */
inline create(first)
{
	won = 0;
	if
	:: first == NEW -> reclaim()
	:: else
	fi;
	if
	:: !won ->
		any_record(r);
		claim(r)
	:: else
	fi;
	if
	:: won ->
		/* flow_fill: the word at once, then the rest */
		atomic {
			state[r] = first;
			life[r] = seq[r] + 1
		};
		key[r] = k;
		val[r] = seq[r] + 1;
		nm = REPLY;
		do
		:: true ->
			name_insert(r, nm);
			if
			:: rc != 0 || nm == FORWARD -> break
			:: else -> nm = FORWARD
			fi;
#ifdef BREAK_PUBLISH_EARLY
			seq[r]++
#endif
		od;
		if
		:: rc != 0 -> flow_release(r)
#ifndef BREAK_PUBLISH_EARLY
		:: else -> seq[r]++ /* flow_publish */
#else
		:: else
#endif
		fi
	:: else
	fi
}

/* Is record r the flow by this name? Sets s and hit. */
inline flow_check(name)
{
	s = seq[r];
	if
	:: !ODD(s) && state[r] != FREE -> hit = (TUPLE(key[r], name) == TUPLE(k, name))
	:: else
	fi
}

/* Sets hit, and r and s to what was found. Home may be any record. */
inline flow_find(name)
{
	i = 0;
	hit = 0;
	any_record(r);
	flow_check(name);
	hit = (hit && seq[r] == s);
	do
	:: atomic {
		i < PLACES && !hit ->
		e = entry[i];
		i++
	   };
		if
		:: e != 0 && ENTRY_NAME(e) == name ->
			r = ENTRY_RECORD(e);
			flow_check(name)
		:: else
		fi
	:: else -> break
	od
}

/* What a packet tells: a FIN or RST closes, an answer opens. */
inline flow_change(name, fin)
{
	atomic {
		w = state[r];
		wl = life[r]
	};
	if
	:: w == FREE
#ifndef BREAK_STORE_ANY_LIFE
	:: w != FREE && wl != s
	:: w != FREE && wl == s ->
#else
	:: else ->
#endif
		if
		:: fin -> next = CLOSED
		:: !fin && w == NEW && name == REPLY -> next = OPEN
		:: else -> next = w
		fi;
		atomic {
			if
#ifdef BREAK_STORE_ANY_LIFE
			:: next != w ->
#else
			:: next != w && state[r] == w && life[r] == wl ->
#endif
				assert(seq[r] == s || seq[r] == s + 1); /* that life, or it ends now */
				state[r] = next
			:: else
			fi
		}
	fi
}

/* A packet by this name, of flow k; one that opens makes a flow if there is none, or it is over. */
inline packet(name, opens, fin)
{
	flow_find(name);
	if
	:: hit && opens && state[r] == CLOSED -> /* flow_superseded, flow_supersede */
		atomic {
			w = state[r];
			wl = life[r]
		};
		atomic {
			if
			:: w != FREE && wl == s && state[r] == w && life[r] == wl -> state[r] = FREE
			:: else
			fi
		};
		hit = 0
	:: else
	fi;
	if
	:: hit ->
		v = val[r]; /* flow_translate */
#ifndef BREAK_LOOK_AT_SEQ_ONCE
		if
		:: seq[r] == s -> /* flow_unchanged */
#endif
			assert(v == s); /* all of it of the life that was found */
			flow_change(name, fin)
#ifndef BREAK_LOOK_AT_SEQ_ONCE
		:: else
		fi
#endif
	:: !hit && opens -> create(NEW)
	:: else
	fi
}

/* What a CPU may do: */
#define SYN	1  /* a packet that opens */
#define ANSWER	2  /* one of the other side */
#define FIN	4  /* one that closes */
#define MIGRATE 8  /* flowtable_insert of an open flow */
#define SWEEP	16 /* flowtable_end of a live one */
#define END	32 /* the same of the one that is there at first */
#define ANY	31

proctype cpu(byte may, keys, most)
{
	byte ops, r, s, i, e, k, un, at, q, qs, place, looks, nm, w, wl, next, v;
	bit won, hit, match, rc;

	do
	:: ops < most ->
		atomic {
			if
			:: keys & 1 -> k = 0
			:: keys & 2 -> k = 1
			fi
		};
		if
		:: may & SYN -> packet(FORWARD, 1, 0)
		:: may & ANSWER -> packet(REPLY, 0, 0)
		:: may & FIN -> packet(FORWARD, 0, 1)
		:: may & MIGRATE -> create(OPEN)
		:: may & (SWEEP | END) ->
			if
			:: may & SWEEP -> any_record(r)
			:: may & END -> r = 0
			fi;
			s = seq[r];
			if
			:: !ODD(s) && state[r] != FREE -> end_flow(r, s)
			:: else
			fi
		fi;
		atomic {
			r = 0; s = 0; i = 0; e = 0; k = 0; un = 0; at = 0; q = 0; qs = 0;
			place = 0; looks = 0; nm = 0; w = 0; wl = 0; next = 0; v = 0;
			won = 0; hit = 0; match = 0; rc = 0;
			ops++
		}
	:: else -> break
	od;
	left--
}

#define ENTRY_IS_KNOWN(p) (entry[p] == 0 || INDEX(ENTRY_RECORD(entry[p]), ENTRY_NAME(entry[p])) == (p) + 1)
#define IS_WHOLE(r)	  (!LIVE(r) || (NAMED(r, FORWARD) && NAMED(r, REPLY) && life[r] == seq[r]))
#define DIFFER(a, b)                                                                               \
	(!LIVE(a) || !LIVE(b) || (TUPLE(key[a], FORWARD) != TUPLE(key[b], FORWARD) &&              \
				  TUPLE(key[a], REPLY) != TUPLE(key[b], REPLY)))
/* What is free has no names, or those that it had, which it can be found by. */
#define KNOWS_ITS_NAMES(r)                                                                         \
	((INDEX(r, FORWARD) == 0 || NAMED(r, FORWARD)) && (INDEX(r, REPLY) == 0 || NAMED(r, REPLY)))

/* Between any two steps: */
never {
	do
	:: atomic {
		/* whatever an entry leads to knows of it; */
		assert(ENTRY_IS_KNOWN(0) && ENTRY_IS_KNOWN(1) && ENTRY_IS_KNOWN(2));
#if PLACES > 3
		assert(ENTRY_IS_KNOWN(3));
#endif
		/* a flow that packets may use has all its names, once; */
		assert(IS_WHOLE(0) && IS_WHOLE(1));
		/* no two flows share a tuple. */
		assert(DIFFER(0, 1));
#if RECORDS > 2
		assert(IS_WHOLE(2) && DIFFER(0, 2) && DIFFER(1, 2));
#endif
	}
	od
}

/* The first record holds a flow, new or closed; then the CPUs run. */
init {
	byte n;

	atomic {
		if
		:: true -> state[0] = NEW
		:: true -> state[0] = CLOSED
		:: true -> skip
		fi;
		if
		:: state[0] != FREE ->
			/* Places are taken from the last one down; this name may be anywhere. */
			if
			:: true -> INDEX(0, FORWARD) = PLACES; INDEX(0, REPLY) = PLACES - 1
			:: true -> INDEX(0, FORWARD) = 1; INDEX(0, REPLY) = PLACES
			fi;
			entry[INDEX(0, FORWARD) - 1] = ENTRY(0, FORWARD);
			entry[INDEX(0, REPLY) - 1] = ENTRY(0, REPLY)
		:: else
		fi;
		run cpu(CPU1, OPS1);
		run cpu(CPU2, OPS2);
		left = 2;
#ifdef CPU3
		run cpu(CPU3, OPS3);
		left = 3
#endif
	};
	left == 0;
	/* No claim is left, no name that is not in the index. */
	n = 0;
	atomic {
		do
		:: n < RECORDS ->
			assert(!ODD(seq[n]));
			assert(KNOWS_ITS_NAMES(n));
			n++
		:: else -> break
		od
	}
}
