/* Park, publish, consume and recover: the protocol of src/queue/ring_queue.cpp, with a store buffer
 * for each process (x86-TSO, one entry) and deaths at every step.
 *
 * Abstracted: a record is one unit, and ROOM of them fit; a process that dies has a successor, which
 * inherits its lock; the heavy fence (membarrier) empties the store buffers of all. The slices that
 * bound every sleep are left out until somebody has died: so it is shown that among the living no
 * wake-up is ever lost, and that after a death the slices suffice.
 *
 * Checked: a reader reads what was published and nothing else, head and tail move by one step at a
 * time, and nobody sleeps for ever while there is something to do (no invalid end state).
 *
 * tests/model/run.sh checks it, and that it fails when the fence or the slices are taken away.
 */
#define ITEMS 3   /* put in all */
#define ROOM 2    /* records that fit */
#ifndef DEATHS
#define DEATHS 2  /* at most */
#endif

/* Shared memory as others see it. */
byte tail = 0, head = 0;
bool reader_parked = false, writer_parked = false;
/* Locks: 0 free, 1 held, 2 its owner died. */
byte put_lock = 0, get_lock = 0;

/* Store buffers: one store that others do not see yet. Which word: 0 none, 1 tail, 2 head. */
byte writer_store = 0, writer_value = 0;
byte reader_store = 0, reader_value = 0;

bool reader_sleeps = false, writer_sleeps = false;
byte deaths = 0;
byte taken = 0;        /* next record the readers expect */
byte put_next = 0;     /* next record to publish; survives a writer's death: a writer's successor goes on */

/* A buffered store reaches memory at any time, and always before a locked instruction of its process. */
inline flush_writer() {
  if
  :: writer_store == 1 -> tail = writer_value; writer_store = 0
  :: else
  fi
}
inline flush_reader() {
  if
  :: reader_store == 2 -> head = reader_value; reader_store = 0
  :: else
  fi
}
/* What a process that died had stored is seen: stores are not undone. */
active proctype memory() {
end:
  do
  :: atomic { writer_store != 0 -> flush_writer() }
  :: atomic { reader_store != 0 -> flush_reader() }
  od
}

/* The mutations show that the model can fail. */
#ifdef NO_HEAVY_FENCE
inline heavy_fence() { skip }
#else
inline heavy_fence() { atomic { flush_writer(); flush_reader() } }
#endif
#ifdef NO_SLICES
#define SLICE_ENDS false
#else
#define SLICE_ENDS (deaths > 0)
#endif

/* A death leaves the lock to the kernel, which marks it. */
#define MAY_DIE(lock) if :: deaths < DEATHS -> atomic { deaths++; lock = 2; goto dead } :: true fi

inline acquire(lock, inherited) {
  atomic {
    lock != 1 -> inherited = (lock == 2); lock = 1
  }
}

/* After a death whoever inherits wakes both sides. */
inline wake_both() {
  reader_parked = false; reader_sleeps = false;
  writer_parked = false; writer_sleeps = false
}

proctype writer() {
  bool inherited;
  do
  :: put_next == ITEMS -> break
  :: else ->
    acquire(put_lock, inherited);
    if :: inherited -> wake_both() :: else fi;
    MAY_DIE(put_lock);
    /* Inherited: what is in the buffer of the dead one has been stored. */
    atomic { flush_writer(); put_next = tail };
    if
    :: put_next == ITEMS -> atomic { flush_writer(); put_lock = 0 }; break
    :: else
    fi;
    /* wait_for_room */
    do
    :: tail - head < ROOM -> break
    :: else ->
      MAY_DIE(put_lock);
      writer_parked = true;
      heavy_fence();
      if
      :: tail - head < ROOM -> skip
      :: else ->
        /* futex_wait: sleeps only while the word is still set */
        atomic { if :: writer_parked -> writer_sleeps = true :: else fi };
        if
        :: !writer_sleeps          /* woken, or never slept */
        :: SLICE_ENDS -> writer_sleeps = false  /* whoever was to wake it may be dead */
        fi
      fi;
      writer_parked = false
    od;
    MAY_DIE(put_lock);
    /* publish: into the store buffer */
    atomic { flush_writer(); writer_store = 1; writer_value = tail + 1; put_next = tail + 1 };
    MAY_DIE(put_lock);
    /* take_parked: a plain load, before the store need be seen */
    if
    :: reader_parked ->
      atomic { flush_writer(); reader_parked = false };  /* exchange */
      MAY_DIE(put_lock);
      reader_sleeps = false                              /* futex_wake */
    :: else
    fi;
    MAY_DIE(put_lock);
    atomic { flush_writer(); put_lock = 0 }              /* unlock is a locked instruction */
  od;
  goto done;
dead:
  run writer();
done:
  skip
}

proctype reader() {
  bool inherited;
  byte got;
  do
  :: taken == ITEMS -> break
  :: else ->
    acquire(get_lock, inherited);
    if :: inherited -> wake_both() :: else fi;
    MAY_DIE(get_lock);
    atomic { flush_reader(); taken = head };
    if
    :: taken == ITEMS -> atomic { get_lock = 0 }; break
    :: else
    fi;
    /* wait_for_data */
    do
    :: head != tail -> break
    :: else ->
      MAY_DIE(get_lock);
      reader_parked = true;
      heavy_fence();
      if
      :: head != tail -> skip
      :: else ->
        atomic { if :: reader_parked -> reader_sleeps = true :: else fi };
        if
        :: !reader_sleeps
        :: SLICE_ENDS -> reader_sleeps = false
        fi
      fi;
      reader_parked = false
    od;
    MAY_DIE(get_lock);
    got = head;               /* copy out */
    assert(got < tail);       /* what is read was published */
    MAY_DIE(get_lock);
    atomic { flush_reader(); reader_store = 2; reader_value = head + 1; taken = head + 1 };  /* consume */
    MAY_DIE(get_lock);
    if
    :: writer_parked ->
      atomic { flush_reader(); writer_parked = false };
      MAY_DIE(get_lock);
      writer_sleeps = false
    :: else
    fi;
    MAY_DIE(get_lock);
    atomic { flush_reader(); get_lock = 0 };
    assert(got + 1 <= tail)
  od;
  goto done;
dead:
  run reader();
done:
  skip
}

init {
  atomic { run writer(); run reader() }
}
