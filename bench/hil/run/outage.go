package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"time"

	"github.com/millrace-video/millrace/bench/hil"
	"github.com/millrace-video/millrace/bench/hil/outage"
)

// policies are the values of record.sync that are tried.
func policies() []string { return []string{"fragment", "5s", "segment"} }

// survives is the name of the cases of the power cut under a recorder.
const survives = "ARecorderSurvivesPowerCuts"

// outages are those cases: count cuts over the three policies, each policy on a disk of its own. As
// few as there are policies share one.
func (s settings) outages(ctx context.Context, dir string, count int) []hil.Case {
	scratch, err := os.MkdirTemp("", "millrace-outage-")
	if err != nil {
		return []hil.Case{failed(survives, err)}
	}
	t := &trials{settings: s, dir: dir, scratch: scratch, host: filepath.Join(scratch, "millrace")}
	t.machines = t.host
	err = link(ctx, runtime.GOARCH, "build", "-tags", "netgo,osusergo", "-o", t.host, "./cmd/millrace")
	if err == nil && s.arch != runtime.GOARCH {
		t.machines += "." + s.arch
		err = link(ctx, s.arch, "build", "-tags", "netgo,osusergo", "-o", t.machines, "./cmd/millrace")
	}
	if err != nil {
		return []hil.Case{failed(survives, err)}
	}
	if count <= len(policies()) {
		t.run(ctx, survives, few(count), 6*time.Second, 10*time.Second)
	} else {
		t.run(ctx, "ARecorderSurvivesAClockThatIsSet", outage.Clocks(), 2*time.Second, 9*time.Second)
		for i, sync := range policies() {
			t.run(ctx, survives+"/sync:_"+sync, cuts(sync, (count+i)/len(policies())), time.Second, 30*time.Second)
		}
	}
	if t.bad {
		fmt.Println("hil: what the failed power cuts left:", scratch)
	} else if err = os.RemoveAll(scratch); err != nil {
		t.cases = append(t.cases, failed(survives, err))
	}
	return t.cases
}

// cuts are n cuts with one policy, of both kinds.
func cuts(sync string, n int) []outage.Cut {
	all := make([]outage.Cut, n)
	for i := range all {
		all[i] = outage.Cut{Sync: sync, Random: i%2 == 1}
	}
	return all
}

// few are cuts each with another policy.
func few(n int) []outage.Cut {
	all := cuts("", n)
	for i := range all {
		all[i].Sync = policies()[i]
	}
	return all
}

// trials are series of cuts and what came of them.
type trials struct {
	settings

	dir, scratch, host, machines string
	cases                        []hil.Case
	bad                          bool
}

func (t *trials) run(ctx context.Context, name string, cuts []outage.Cut, from, to time.Duration) {
	if ok, err := regexp.MatchString(t.settings.run, name); err == nil && !ok {
		return
	}
	begin := time.Now()
	s := outage.Series{
		Machine: hil.Machine{Arch: t.arch, Dir: t.dir}, Machines: t.machines, Host: t.host,
		Scratch: filepath.Join(t.scratch, fmt.Sprint(len(t.cases))), From: from, To: to,
		Progress: func(line string) { fmt.Println("hil:", line) },
	}
	err := os.Mkdir(s.Scratch, 0o755) //nolint:gosec // others judge what lies there
	var found outage.Found
	if err == nil {
		found, err = s.Run(ctx, cuts)
	}
	c := hil.Case{Name: name, Result: "pass"}
	if err != nil {
		c, t.bad = failed(name, err), true
	}
	c.Figures = append([]string{found.String()}, c.Figures...)
	c.Seconds = fmt.Sprintf("%.2f", time.Since(begin).Seconds())
	t.cases = append(t.cases, c)
}

func failed(name string, err error) hil.Case {
	return hil.Case{Name: name, Result: "fail", Figures: []string{err.Error()}}
}
