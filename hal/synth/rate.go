package synth

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is pictures a second as a fraction, so that time never drifts: 30000/1001, not 29.97.
type Rate struct {
	Num, Den int
}

// ParseRate reads 25, 12.5 or 30000/1001; 23.976, 29.97 and 59.94 mean the fractions of
// television. Rates go from 1 to 240.
func ParseRate(s string) (Rate, error) {
	switch s {
	case "23.976":
		return Rate{24000, 1001}, nil
	case "29.97":
		return Rate{30000, 1001}, nil
	case "59.94":
		return Rate{60000, 1001}, nil
	}
	num, den, ok := strings.Cut(s, "/")
	if whole, decimals, hasPoint := strings.Cut(s, "."); hasPoint {
		num, den, ok = whole+decimals, "1"+strings.Repeat("0", min(len(decimals), 9)), whole != "" && decimals != ""
	} else if !ok {
		den, ok = "1", true
	}
	n, errN := strconv.ParseUint(num, 10, 24)
	d, errD := strconv.ParseUint(den, 10, 16)
	if !ok || errN != nil || errD != nil || d < 1 || n < d || n > 240*d {
		return Rate{}, errors.New("pictures a second from 1 to 240: 25, 12.5, 29.97 or 30000/1001")
	}
	return Rate{int(n), int(d)}, nil
}

func (r Rate) String() string {
	if r.Den == 1 {
		return strconv.Itoa(r.Num)
	}
	return fmt.Sprintf("%d/%d", r.Num, r.Den)
}

// Float returns pictures a second.
func (r Rate) Float() float64 { return float64(r.Num) / float64(r.Den) }

// Time returns when a frame is due, counted from frame 0, to the nearest nanosecond.
func (r Rate) Time(frame int) time.Duration {
	ticks := int64(frame) * int64(r.Den)
	num := int64(r.Num)
	return time.Duration(ticks/num)*time.Second + time.Duration((ticks%num*int64(time.Second)+num/2)/num)
}

// Frame returns the first frame that is due at t or later.
func (r Rate) Frame(t time.Duration) int {
	if t <= 0 {
		return 0
	}
	sec, rest := int64(t/time.Second), int64(t%time.Second)
	den, num := int64(r.Den), int64(r.Num)
	n := int(sec*num/den + (sec*num%den+rest*num/int64(time.Second))/den)
	for n > 0 && r.Time(n-1) >= t {
		n--
	}
	for r.Time(n) < t {
		n++
	}
	return n
}
