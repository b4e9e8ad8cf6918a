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
	wrong := errors.New("pictures a second from 1 to 240: 25, 12.5, 29.97 or 30000/1001")
	var r Rate
	switch s {
	case "23.976":
		return Rate{24000, 1001}, nil
	case "29.97":
		return Rate{30000, 1001}, nil
	case "59.94":
		return Rate{60000, 1001}, nil
	}
	num, den, isFraction := strings.Cut(s, "/")
	whole, decimals, hasPoint := strings.Cut(num, ".")
	if hasPoint && (whole == "" || decimals == "") {
		return r, wrong
	}
	if !isFraction {
		den = "1" + strings.Repeat("0", len(decimals))
		num = whole + decimals
	}
	if len(num) > 7 || len(den) > 5 || len(num) == 0 || num[0] == '+' || den == "" || den[0] == '+' {
		return r, wrong
	}
	var errs [2]error
	r.Num, errs[0] = strconv.Atoi(num)
	r.Den, errs[1] = strconv.Atoi(den)
	if errors.Join(errs[:]...) != nil || r.Den < 1 || r.Num < r.Den || r.Num > 240*r.Den {
		return Rate{}, wrong
	}
	return r, nil
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
