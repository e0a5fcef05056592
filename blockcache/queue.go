package blockcache

// queues decide which block makes room for a new one. New blocks wait in a short queue, and only what is read again while
// it is there moves on to the long one: who reads through a large image once pushes out nothing that others come back to.
// A block that comes back soon after it had to leave goes to the long queue at once. (This is S3-FIFO: Yang and others,
// "FIFO queues are all you need for cache eviction", SOSP 2023.)
type queues struct {
	fresh, proven queue
	left          ghosts
}

func newQueues(most int) queues {
	return queues{left: ghosts{most: most, at: make(map[blockKey]int)}}
}

const (
	maxUsed   = 3  // rounds through the long queue that a block may earn
	freshPart = 10 // the short queue keeps one block in so many when there is no room
)

// enter takes a block that is new.
func (q *queues) enter(b *block) {
	b.used = 0
	if q.left.take(b.key) {
		q.proven.push(b)
	} else {
		q.fresh.push(b)
	}
}

// evict takes out the block that is to make room, nil when all are in use.
func (q *queues) evict() *block {
	for range (maxUsed + 2) * (q.fresh.n + q.proven.n) {
		if q.fresh.n*freshPart > q.fresh.n+q.proven.n || q.proven.n == 0 {
			b := q.fresh.pop()
			switch {
			case b.pins > 0:
				q.fresh.push(b)
			case b.used > 0:
				b.used = 0
				q.proven.push(b)
			default:
				q.left.add(b.key)
				return b
			}
			continue
		}
		b := q.proven.pop()
		switch {
		case b.pins > 0:
			q.proven.push(b)
		case b.used > 0:
			b.used--
			q.proven.push(b)
		default:
			return b
		}
	}
	return nil
}

// A queue is linked by block.next.
type queue struct {
	first, last *block
	n           int
}

func (q *queue) push(b *block) {
	b.next = nil
	if q.last == nil {
		q.first = b
	} else {
		q.last.next = b
	}
	q.last = b
	q.n++
}

// pop takes the first block of a queue that is not empty.
func (q *queue) pop() *block {
	b := q.first
	q.first = b.next
	if q.first == nil {
		q.last = nil
	}
	q.n--
	return b
}

// ghosts remember which blocks had to leave last.
type ghosts struct {
	most int
	keys []blockKey // a ring
	next int        // where in the ring
	at   map[blockKey]int
}

func (g *ghosts) add(k blockKey) {
	if len(g.keys) < g.most {
		g.keys = append(g.keys, k)
	} else {
		if old := g.keys[g.next]; g.at[old] == g.next {
			delete(g.at, old)
		}
		g.keys[g.next] = k
	}
	g.at[k] = g.next
	g.next = (g.next + 1) % g.most
}

// take reports whether the block left lately, and forgets that.
func (g *ghosts) take(k blockKey) bool {
	_, ok := g.at[k]
	delete(g.at, k)
	return ok
}
