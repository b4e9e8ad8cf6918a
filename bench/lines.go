package bench

import (
	"sync"

	"github.com/millrace-video/millrace/hal"
)

// mutexRing is what one writes first: a ring under a mutex, with two conditions.
type mutexRing struct {
	mu          sync.Mutex
	items, room sync.Cond
	ring        [queueRoom]hal.Frame
	head, held  int
}

func newMutexRing() *mutexRing {
	m := &mutexRing{}
	m.items.L, m.room.L = &m.mu, &m.mu
	return m
}

// Push implements line.
func (m *mutexRing) Push(f hal.Frame) error {
	m.mu.Lock()
	for m.held == len(m.ring) {
		m.room.Wait()
	}
	m.ring[(m.head+m.held)%len(m.ring)] = f
	m.held++
	m.mu.Unlock()
	m.items.Signal()
	return nil
}

// PopBatch implements line.
func (m *mutexRing) PopBatch(dst []hal.Frame) (int, error) {
	m.mu.Lock()
	for m.held == 0 {
		m.items.Wait()
	}
	n := min(len(dst), m.held)
	for i := range n {
		dst[i] = m.ring[m.head]
		m.ring[m.head] = hal.Frame{}
		m.head = (m.head + 1) % len(m.ring)
	}
	m.held -= n
	m.mu.Unlock()
	m.room.Signal()
	return n, nil
}

// goChannel is Go's own queue.
type goChannel chan hal.Frame

// Push implements line.
func (c goChannel) Push(f hal.Frame) error {
	c <- f
	return nil
}

// PopBatch implements line.
func (c goChannel) PopBatch(dst []hal.Frame) (int, error) {
	dst[0] = <-c
	for n := 1; n < len(dst); n++ {
		select {
		case dst[n] = <-c:
		default:
			return n, nil
		}
	}
	return len(dst), nil
}
