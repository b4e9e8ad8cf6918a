package upload

import "container/heap"

// order is a heap of items, by the order of their submission or by when they are due.
type order struct {
	items []*item
	byDue bool
}

func (o *order) Len() int { return len(o.items) }

func (o *order) Less(i, j int) bool {
	a, b := o.items[i], o.items[j]
	if o.byDue && a.due != b.due {
		return a.due < b.due
	}
	return a.seq < b.seq
}

func (o *order) Swap(i, j int) {
	o.items[i], o.items[j] = o.items[j], o.items[i]
	o.items[i].index, o.items[j].index = i, j
}

// Push implements heap.Interface.
func (o *order) Push(x any) {
	it := x.(*item) //nolint:forcetypeassert // heap gives back what it got
	it.index = len(o.items)
	o.items = append(o.items, it)
}

// Pop implements heap.Interface.
func (o *order) Pop() any {
	last := len(o.items) - 1
	it := o.items[last]
	o.items[last] = nil
	o.items = o.items[:last]
	return it
}

func (o *order) add(it *item) { heap.Push(o, it) }

func (o *order) remove(it *item) { heap.Remove(o, it.index) }

// first returns the head, or nil.
func (o *order) first() *item {
	if len(o.items) == 0 {
		return nil
	}
	return o.items[0]
}
