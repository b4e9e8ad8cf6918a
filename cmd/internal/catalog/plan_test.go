package catalog_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/catalog"
)

// camera makes a view of a channel from a text: a letter is a file of ten bytes, upper case a
// pinned one, in the order of the alphabet over all channels. They are an hour each.
func camera(name, files string, l catalog.Limits) catalog.ChannelView {
	ch := catalog.ChannelView{Name: name, Limits: l, Bytes: int64(10 * len(files)), More: map[bool]bool{}}
	for i, letter := range files {
		at := int64(strings.ToLower(string(letter))[0]-'a') * int64(time.Hour)
		ch.Segments = append(ch.Segments, catalog.FileView{
			Place: uint64(i + 1), File: string(letter), Bytes: 10, Age: catalog.Age{Boot: 1, Mono: at}, Start: at, End: at + int64(time.Hour),
			Labeled: true, Pinned: strings.ToUpper(string(letter)) == string(letter),
		})
	}
	return ch
}

func gone(all []catalog.Sacrifice) string {
	text := ""
	for _, s := range all {
		text += s.File
		switch {
		case s.Spool && s.Pinned:
			text += fmt.Sprintf("(of events %d)", s.Bytes)
		case s.Spool:
			text += fmt.Sprintf("(%d)", s.Bytes)
		}
	}
	return text
}

func TestOrderOfSacrifice(t *testing.T) { // R7: docs/disk.md
	none := catalog.Limits{}
	for _, tc := range []struct {
		name  string
		view  catalog.View
		want  string
		short int
	}{
		{"nothing too much", catalog.View{Channels: []catalog.ChannelView{camera("x", "abc", none)}}, "", 0},
		{"too old", catalog.View{Trusted: true, Now: int64(5 * time.Hour), Channels: []catalog.ChannelView{camera("x", "abCde", catalog.Limits{Keep: 3 * time.Hour})}}, "a", 0},
		{"what is pinned has no age", catalog.View{Trusted: true, Now: int64(50 * time.Hour), Channels: []catalog.ChannelView{camera("x", "aBc", catalog.Limits{Keep: time.Hour})}}, "ac", 0},
		{"no age without a clock", catalog.View{Now: int64(50 * time.Hour), Channels: []catalog.ChannelView{camera("x", "abc", catalog.Limits{Keep: time.Hour})}}, "", 0},
		{"a channel's bytes", catalog.View{Channels: []catalog.ChannelView{camera("x", "acE", catalog.Limits{MaxBytes: 20}), camera("y", "bdf", none)}}, "a", 0},
		{"what is pinned goes where nothing else is left", catalog.View{Channels: []catalog.ChannelView{camera("x", "AbC", catalog.Limits{MaxBytes: 10})}}, "bA", 0},
		{"all bytes: the oldest of all", catalog.View{MaxBytes: 30, Channels: []catalog.ChannelView{camera("x", "acE", none), camera("y", "bdf", none)}}, "abc", 0},
		{"free space", catalog.View{Disks: []catalog.DiskView{{Free: 5, MinFree: 25}}, Channels: []catalog.ChannelView{camera("x", "Ac", none), camera("y", "bd", none)}}, "bc", 0},
		{"who needs more at once", catalog.View{Disks: []catalog.DiskView{{Free: 5, MinFree: 5, Want: 16}}, Channels: []catalog.ChannelView{camera("x", "acd", none)}}, "ac", 0},
		{"the spool counts", catalog.View{MaxBytes: 40, Spool: &catalog.SpoolView{Rest: 15, Events: 5}, Channels: []catalog.ChannelView{camera("x", "abC", none)}}, "a", 0},
		{"recordings that no event keeps, the spool, pinned ones, the spool's of events", catalog.View{
			MaxBytes: 12, Spool: &catalog.SpoolView{Rest: 15, Events: 25}, Channels: []catalog.ChannelView{camera("x", "aB", none), camera("y", "Cd", none)},
		}, "ad(15)BC(of events 13)", 0},
		{"no more of the spool than is wanted", catalog.View{MaxBytes: 30, Spool: &catalog.SpoolView{Rest: 15, Events: 5}, Channels: []catalog.ChannelView{camera("x", "aBC", none)}}, "a(10)", 0},
		{"a channel's own limit is its recordings'", catalog.View{Spool: &catalog.SpoolView{Rest: 100}, Channels: []catalog.ChannelView{camera("x", "AbC", catalog.Limits{MaxBytes: 10})}}, "bA", 0},
		{"the spool's disk", catalog.View{Disks: []catalog.DiskView{{Free: 5}, {Free: 5, MinFree: 20}}, Spool: &catalog.SpoolView{Disk: 1, Rest: 10, Events: 30}, Channels: []catalog.ChannelView{camera("x", "aB", none)}}, "(10)(of events 5)", 0},
		{"another disk than the spool's", catalog.View{Disks: []catalog.DiskView{{Free: 5, MinFree: 20}, {Free: 5}}, Spool: &catalog.SpoolView{Disk: 1, Rest: 10, Events: 30}, Channels: []catalog.ChannelView{camera("x", "aB", none)}}, "aB", 0},
		{"it cannot be held", catalog.View{Disks: []catalog.DiskView{{Free: 5, MinFree: 100}}, Channels: []catalog.ChannelView{camera("x", "aB", none)}}, "aB", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.view.Disks == nil {
				tc.view.Disks = []catalog.DiskView{{Free: 100}}
			}
			all, short, more := catalog.Plan(tc.view)
			require.Equal(t, tc.want, gone(all))
			require.Len(t, short, tc.short)
			require.False(t, more)
		})
	}
}

// naive gives up one file at a time: it looks for the first limit that is broken and for the
// oldest file that helps.
func naive(v catalog.View) string {
	type file struct {
		ch int
		catalog.FileView
	}
	var files []file
	for i, ch := range v.Channels {
		for _, s := range ch.Segments {
			files = append(files, file{i, s})
		}
	}
	text := ""
	for {
		bytes, total := make([]int64, len(v.Channels)), int64(0)
		for _, f := range files {
			bytes[f.ch] += f.Bytes
			total += f.Bytes
		}
		best := -1
		consider := func(over bool, ok func(file) bool) {
			if !over || best >= 0 {
				return
			}
			for i, f := range files {
				if ok(f) && (best < 0 || !f.Pinned && files[best].Pinned || f.Pinned == files[best].Pinned && f.Age.Mono < files[best].Age.Mono) {
					best = i
				}
			}
		}
		consider(v.Trusted, func(f file) bool {
			return v.Channels[f.ch].Limits.Keep > 0 && !f.Pinned && v.Now-f.End > int64(v.Channels[f.ch].Limits.Keep)
		})
		for i, ch := range v.Channels {
			consider(ch.Limits.MaxBytes > 0 && bytes[i] > ch.Limits.MaxBytes, func(f file) bool { return f.ch == i })
		}
		consider(v.MaxBytes > 0 && total > v.MaxBytes, func(file) bool { return true })
		for d, disk := range v.Disks {
			free := disk.Free
			for i, ch := range v.Channels {
				if ch.Disk == d {
					free += ch.Bytes - bytes[i]
				}
			}
			consider(free < disk.MinFree, func(f file) bool { return v.Channels[f.ch].Disk == d })
		}
		if best < 0 {
			return text
		}
		text += files[best].File
		files = slices.Delete(files, best, best+1)
	}
}

func TestPlanAgainstANaiveOne(t *testing.T) { // R7
	const letters = "abcdefghijklmnopqrstuvwxyz"
	for seed := range uint64(500) {
		dice := rand.New(rand.NewPCG(seed, 1))
		files := make([]string, 3)
		for _, l := range letters {
			if dice.IntN(3) == 0 {
				l -= 32
			}
			i := dice.IntN(len(files))
			files[i] += string(l)
		}
		v := catalog.View{
			Trusted: dice.IntN(2) == 0, Now: int64(30 * time.Hour), MaxBytes: int64(dice.IntN(300)),
			Disks: []catalog.DiskView{{Free: int64(dice.IntN(50)), MinFree: int64(dice.IntN(150))}, {Free: 10, MinFree: int64(dice.IntN(50))}},
		}
		for i, f := range files {
			ch := camera(string(rune('x'+i)), f, catalog.Limits{Keep: time.Duration(dice.IntN(60)) * time.Hour, MaxBytes: int64(dice.IntN(150))})
			ch.Disk = i / 2
			v.Channels = append(v.Channels, ch)
		}
		all, _, _ := catalog.Plan(v)
		got, want := []byte(gone(all)), []byte(naive(v))
		slices.Sort(got) // ages of several channels are looked at channel by channel
		slices.Sort(want)
		require.Equal(t, string(want), string(got), "seed %d", seed)
	}
}
