package synth

import "github.com/millrace-video/millrace/hal/nal"

// coder makes H.264 of a card without any library: every block is one colour, so a key frame
// is Intra16x16 blocks of one DC level at most, and in the pictures between only the blocks
// that changed are sent, the others skipped. Nothing is lost, and nothing allocated.
type coder struct {
	card    Card
	plan    *plan
	gop     int
	changes []place  // blocks that can change, in raster order
	now     []colour // what the decoder shows, block by block
	target  [2]int   // bytes to fill a key frame and another one up to

	sinceKey int
	idrs     uint32
	w        bitWriter
	slice    []byte // the coded picture's NAL unit, reused
	filler   int    // bytes before it
}

// place is a block: its number in raster order, its column and its row.
type place struct{ index, col, row int }

func newCoder(c Config) *coder {
	p := c.plan()
	e := &coder{card: c.Card, plan: &p, gop: c.GOP, now: make([]colour, p.cols*p.rows)}
	for i := range e.now {
		if p.changes(i%p.cols, i/p.cols) {
			e.changes = append(e.changes, place{i, i % p.cols, i / p.cols})
		}
	}
	if c.Bitrate > 0 { // a key frame is keyShare times as large as another
		gop := float64(c.Bitrate) / 8 * float64(c.GOP) / c.Rate.Float()
		other := gop / float64(c.GOP-1+keyShare)
		e.target = [2]int{int(other * keyShare), int(other)}
	}
	return e
}

const (
	keyShare    = 8
	leastFiller = 64
	fillerFrame = nal.PrefixLen + 3 // of its bytes, what is neither the payload nor its size
)

// encode codes a frame and returns the size of its access unit, which write then writes. A
// key frame comes when it is due by the GOP or asked for. Frames may be left out.
func (e *coder) encode(frame int, forceKey bool) (size int, key bool) {
	key = forceKey || e.idrs == 0 || e.sinceKey == e.gop
	s := e.card.scene(e.plan, frame)
	target := e.target[1]
	if key {
		target = e.target[0]
		e.sinceKey = 0
		e.idrs++
		e.keyFrame(&s)
	} else {
		e.between(&s)
	}
	e.sinceKey++
	e.slice = e.w.end()
	size = nal.PrefixLen + len(e.slice)
	e.filler = max(0, target-size)
	if e.filler < leastFiller {
		e.filler = 0
	} else if (e.filler-fillerFrame)%256 == 0 {
		e.filler-- // no payload and its size together are that long
	}
	return size + e.filler, key
}

// write writes the access unit that encode coded to dst, which has its size.
func (e *coder) write(dst []byte) {
	if e.filler > 0 {
		fill(dst[:e.filler])
	}
	dst = dst[e.filler:]
	nal.Put(dst, e.slice)
}

func (e *coder) keyFrame(s *scene) {
	w := &e.w
	w.begin(e.slice[:0], nalIDR)
	w.ue(0)               // first_mb_in_slice
	w.ue(7)               // slice_type: I, as all of the picture
	w.ue(0)               // pic_parameter_set_id
	w.u(frameNumBits, 0)  // frame_num
	w.ue(e.idrs & 0xFFFF) // idr_pic_id
	w.u(1, 0)             // no_output_of_prior_pics_flag
	w.u(1, 0)             // long_term_reference_flag
	w.se(0)               // slice_qp_delta
	w.ue(1)               // disable_deblocking_filter_idc: edges stay sharp
	i := 0
	for row := range e.plan.rows {
		for col := range e.plan.cols {
			e.intra(place{i, col, row}, e.plan.at(s, col, row), 0)
			i++
		}
	}
}

func (e *coder) between(s *scene) {
	w := &e.w
	w.begin(e.slice[:0], nalSlice)
	w.ue(0)
	w.ue(5) // slice_type: P, as all of the picture
	w.ue(0)
	w.u(frameNumBits, uint32(e.sinceKey))
	w.u(1, 0) // num_ref_idx_active_override_flag
	w.u(1, 0) // ref_pic_list_modification_flag_l0
	w.u(1, 0) // adaptive_ref_pic_marking_mode_flag
	w.se(0)
	w.ue(1)
	next := 0
	for _, at := range e.changes {
		c := e.plan.at(s, at.col, at.row)
		if c == e.now[at.index] {
			continue
		}
		w.ue(uint32(at.index - next)) // mb_skip_run
		e.intra(at, c, 5)
		next = at.index + 1
	}
	if rest := len(e.now) - next; rest > 0 {
		w.ue(uint32(rest))
	}
}

// How a block is predicted from its neighbours.
const (
	predVertical, predHorizontal, predDC = 0, 1, 2
)

// intra writes a block as Intra16x16 of one colour. Its neighbours are flat too: it takes over
// the left or the upper one's colour, and codes the difference as one DC level per component.
// base is what the slice type adds to mb_type.
func (e *coder) intra(at place, c colour, base uint32) {
	w := &e.w
	mode, chromaMode := uint32(predDC), uint32(0)
	from := [3]uint8{128, 128, 128}
	i, hasLeft, hasUpper := at.index, at.col > 0, at.row > 0
	switch {
	case hasLeft && (!hasUpper || e.now[i-1] == c || e.now[i-e.plan.cols] != c):
		mode, chromaMode = predHorizontal, 1
		from = e.now[i-1].sample()
	case hasUpper:
		mode, chromaMode = predVertical, 2
		from = e.now[i-e.plan.cols].sample()
	}
	e.now[i] = c
	to := c.sample()
	dy, db, dr := int(to[0])-int(from[0]), int(to[1])-int(from[1]), int(to[2])-int(from[2])
	chroma := uint32(0)
	if db != 0 || dr != 0 {
		chroma = 1 // DC only
	}
	w.ue(base + 1 + mode + 4*chroma) // mb_type
	w.ue(chromaMode)                 // intra_chroma_pred_mode
	w.se(0)                          // mb_qp_delta
	w.lumaDC(dy)
	if chroma != 0 {
		w.chromaDC(db)
		w.chromaDC(dr)
	}
}

// lumaDC writes the 16 DC levels of a block of which only the first can be other than 0
// (coeff_token for nC 0 or 1; 9.2). No block has AC levels, so nC is always 0.
func (w *bitWriter) lumaDC(level int) {
	switch level {
	case 0:
		w.u(1, 0b1)
		return
	case 1, -1:
		w.u(2, 0b01)
	default:
		w.u(6, 0b000101)
	}
	w.level(level)
}

// chromaDC is the same for the 4 DC levels of a chroma component (nC = −1).
func (w *bitWriter) chromaDC(level int) {
	switch level {
	case 0:
		w.u(2, 0b01)
		return
	case 1, -1:
		w.u(1, 0b1)
	default:
		w.u(6, 0b000111)
	}
	w.level(level)
}

// level writes the only level of its block and that no zeros stand before it (9.2.2).
func (w *bitWriter) level(level int) {
	size := max(level, -level)
	code := uint32(2*size - 4)
	if level < 0 {
		code++
	}
	switch {
	case size == 1: // a trailing one: its sign alone
		w.flag(level < 0)
	case code < 14:
		w.u(uint(code)+1, 1)
	case code < 30:
		w.u(15, 1)
		w.u(4, code-14)
	default:
		w.u(16, 1)
		w.u(12, code-30)
	}
	w.u(1, 1) // total_zeros: 0
}

// fill writes a NAL unit of user data (SEI), of exactly len(dst) bytes with its prefix: at
// least leastFiller.
func fill(dst []byte) {
	const pattern = "synthetic camera, filled to its rate; " // its first 16 bytes are the UUID
	nal.PutLength(dst, len(dst)-nal.PrefixLen)
	dst[4], dst[5] = nalSEI, 5 // user_data_unregistered
	body := dst[6 : len(dst)-1]
	size := len(body) * 255 / 256 // the payload's; written as one byte for each 255 and the rest
	n := len(body) - size
	for i := range n - 1 {
		body[i] = 255
	}
	body[n-1] = byte(size - 255*(n-1))
	payload := body[n:]
	done := copy(payload, pattern)
	for done < len(payload) {
		done += copy(payload[done:], payload[:done])
	}
	dst[len(dst)-1] = 0x80
}
