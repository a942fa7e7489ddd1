/* The end of a queue with a single producer: RingQueue::no_put_is_under_way of src/queue/ring_queue.cpp,
 * with a store buffer for the producer (x86-TSO, in order) and its death at every step.
 *
 * The producer keeps put_lock, so the consumer cannot learn from it that no put is under way. The producer
 * sets `putting` before it looks at the state; the consumer, which has seen the queue shut down and the
 * ring empty, fences for both, looks at `putting` and then at the ring once more.
 *
 * Checked: when the consumer says that it is over, it has everything that a put had accepted or will
 * accept; and it comes to an end.
 */
#define PUTS 2

byte tail = 0, head = 0;
bool putting = false, shut = false, dead = false;
byte published = 0;   /* as the producer knows it: a put that came so far was accepted */
bool over = false;

/* Stores that others do not see yet, oldest first: 1 putting, 2 not putting, 3 tail + 1. */
chan stores = [4] of { byte };

inline store_one() {
  byte store;
  stores ? store;
  if
  :: store == 1 -> putting = true
  :: store == 2 -> putting = false
  :: store == 3 -> tail++
  fi
}
inline drain_stores() {
  do
  :: len(stores) > 0 -> store_one()
  :: else -> break
  od
}

active proctype memory() {
end:
  do
  :: atomic { len(stores) > 0 -> store_one() }
  od
}

/* What one that died had stored is seen. */
#define MAY_DIE if :: true -> atomic { drain_stores(); dead = true; goto gone } :: true fi

active proctype producer() {
  byte n = 0;
  do
  :: n == PUTS -> break
  :: else ->
    n++;
    MAY_DIE;
#ifndef NO_WORD
    stores ! 1;
#endif
    MAY_DIE;
    if
    :: shut -> stores ! 2; break       /* throws ShutDown */
    :: else
    fi;
    MAY_DIE;
    atomic { assert(!over); stores ! 3; published++ };
    MAY_DIE;
    stores ! 2
  od;
gone:
  skip
}

active proctype closer() { shut = true }

active proctype consumer() {
  do
  :: atomic { head != tail -> head++ }
  :: shut && head == tail ->
#ifndef NO_HEAVY_FENCE
    atomic { drain_stores() };
#endif
    do
    :: !putting -> break
    :: dead -> break                   /* got the lock from the dead */
    :: head != tail -> break
    od;
    if
    :: head != tail
    :: else -> break
    fi
  od;
  atomic { over = true; assert(head == published) }
}
