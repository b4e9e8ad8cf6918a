package motion

import (
	"errors"
	"fmt"
	"time"
)

// Config is a detector's settings. The zero value holds the defaults.
type Config struct {
	Sensitivity int           // 1 to 100: the higher, the smaller a change of brightness counts; default 50
	Area        float64       // percent of the picture that must change; 0.1 to 100, default 1
	Rate        float64       // pictures looked at a second, at most; 0.5 to 30, default 5
	Hold        time.Duration // how long nothing must move for the motion to be over; default 2 s
}

// WithDefaults fills in what is 0.
func (c Config) WithDefaults() Config {
	if c.Sensitivity == 0 {
		c.Sensitivity = 50
	}
	if c.Area == 0 {
		c.Area = 1
	}
	if c.Rate == 0 {
		c.Rate = 5
	}
	if c.Hold == 0 {
		c.Hold = 2 * time.Second
	}
	return c
}

// Validate says what is wrong, all of it at once.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(c.Sensitivity < 1 || c.Sensitivity > 100, "sensitivity %d: 1 to 100", c.Sensitivity)
	wrong(!(c.Area >= 0.1 && c.Area <= 100), "area %g: 0.1 to 100 percent", c.Area)
	wrong(!(c.Rate >= 0.5 && c.Rate <= 30), "rate %g: 0.5 to 30 pictures a second", c.Rate)
	wrong(c.Hold < 100*time.Millisecond || c.Hold > time.Minute, "hold %s: 100ms to 1m", c.Hold)
	return errors.Join(errs...)
}

// The grid. A picture is cut into as many cells whatever its size, or fewer where it is small;
// of a cell at most samples by samples pixels are read.
const (
	cols    = 64
	rows    = 36
	samples = 8
)

// How the background follows. All brightness is in 256ths of a level. The shares are those of
// looks five times a second; where they are farther apart the background follows up to four
// times as fast, and one picture is enough.
const (
	usual    = int64(200 * time.Millisecond) // from one look to the next
	sparse   = int64(time.Second)            // apart, one picture with motion in it is enough
	hastily  = 4
	fast     = 4   // a looked-at picture's share while learning: a quarter
	slow     = 16  // where nothing moves
	slowest  = 128 // under what moves, so that what stays becomes background
	learning = 8   // pictures
	one      = 256
	margin   = 4   // times the noise of a cell
	floor    = 3   // levels that are never motion
	most     = 0.7 // more of the picture than that is the light, not motion
)

// Luma is a picture's brightness: samples Step apart in lines Stride apart.
type Luma struct {
	Pixels        []byte
	Width, Height int
	Stride, Step  int
}

// Detector finds motion in a sequence of pictures. It allocates nothing once it knows their size.
// One goroutine uses it.
type Detector struct {
	cfg    Config
	limit  int32 // the least difference that counts
	width  int
	height int
	nx, ny int
	mean   []int32
	ground []int32
	noise  []int32
	diffs  []int32
	seen   int

	active int // pictures in a row with enough motion
	moving bool
	last   int64 // Mono of the last motion
	looked int64 // Mono of the last look
}

// Verdict is what a look found.
type Verdict struct {
	Area   float64 // percent of the picture that differs from the background
	Moving bool    // with hysteresis
	Began  bool    // with this picture
}

// New returns a detector that has seen nothing.
func New(cfg Config) *Detector {
	cfg = cfg.WithDefaults()
	return &Detector{cfg: cfg, limit: int32(one * (floor + (100-cfg.Sensitivity)*32/100))}
}

// Look takes the next picture, of the instant mono.
func (d *Detector) Look(l Luma, mono int64) Verdict {
	if l.Width != d.width || l.Height != d.height {
		d.reset(l.Width, l.Height)
	}
	if d.nx == 0 || d.ny == 0 {
		return Verdict{}
	}
	d.shrink(l)
	d.seen++
	apart := mono - d.looked
	d.looked = mono
	if d.seen <= learning {
		d.learn()
		return Verdict{}
	}
	enough := 2
	if apart >= sparse {
		enough = 1
	}
	share := d.compare(int32(min(max(1, (apart+usual/2)/usual), hastily))) //nolint:gosec // at most 4
	if share > most {
		d.seen = learning / 2 // the light changed: learn anew, quickly
		return d.judge(0, mono, enough)
	}
	return d.judge(share*100, mono, enough)
}

// reset forgets all, for pictures of another size.
func (d *Detector) reset(width, height int) {
	d.width, d.height = width, height
	d.nx, d.ny = min(cols, width/2), min(rows, height/2)
	n := d.nx * d.ny
	d.mean, d.ground, d.noise, d.diffs = make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	d.seen, d.active, d.moving = 0, 0, false
}

// shrink makes the grid of a picture.
func (d *Detector) shrink(l Luma) {
	for cy := range d.ny {
		y0, y1 := cy*l.Height/d.ny, (cy+1)*l.Height/d.ny
		dy := max(1, (y1-y0+samples-1)/samples)
		for cx := range d.nx {
			x0, x1 := cx*l.Width/d.nx, (cx+1)*l.Width/d.nx
			dx := max(1, (x1-x0+samples-1)/samples)
			sum, n := 0, 0
			for y := y0; y < y1; y += dy {
				line := l.Pixels[y*l.Stride:]
				for x := x0; x < x1; x += dx {
					sum += int(line[x*l.Step])
					n++
				}
			}
			d.mean[cy*d.nx+cx] = int32(sum * one / n) //nolint:gosec // at most 255·256
		}
	}
}

// learn follows quickly.
func (d *Detector) learn() {
	for i, m := range d.mean {
		if d.seen == 1 {
			d.ground[i], d.noise[i] = m, 0
			continue
		}
		diff := m - d.ground[i]
		d.ground[i] += diff / fast
		d.noise[i] += (abs(diff) - d.noise[i]) / fast
	}
}

// compare returns the share of cells that differ from the background, and lets that follow, haste
// times as fast as usual. What all cells have in common is the light.
func (d *Detector) compare(haste int32) float64 {
	shift := d.shift()
	hot := 0
	for i, m := range d.mean {
		diff := m - d.ground[i]
		if abs(diff-shift) > d.limit+margin*d.noise[i] {
			hot++
			d.ground[i] += diff * haste / slowest
			continue
		}
		d.ground[i] += diff * haste / slow
		d.noise[i] += (abs(diff-shift) - d.noise[i]) / slow
	}
	return float64(hot) / float64(len(d.mean))
}

// shift is the median of the cells' differences, to a level.
func (d *Detector) shift() int32 {
	var count [512]int
	for i, m := range d.mean {
		count[(m-d.ground[i])/one+256]++
	}
	sum := 0
	for level, n := range count {
		if sum += n; 2*sum >= len(d.mean) {
			return int32(level-256) * one //nolint:gosec // less than 512
		}
	}
	return 0
}

// judge is the hysteresis: motion begins with enough pictures in a row, and is over when less than
// half the area has differed for the holding time.
func (d *Detector) judge(area float64, mono int64, enough int) Verdict {
	v := Verdict{Area: area}
	if area >= d.cfg.Area {
		d.active++
	} else {
		d.active = 0
	}
	switch {
	case !d.moving && d.active >= enough:
		d.moving, d.last, v.Began = true, mono, true
	case d.moving && area >= d.cfg.Area/2:
		d.last = mono
	case d.moving && mono-d.last >= int64(d.cfg.Hold):
		d.moving = false
	}
	v.Moving = d.moving
	return v
}

func abs(v int32) int32 {
	if v < 0 {
		return -v
	}
	return v
}
