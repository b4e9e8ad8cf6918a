package file

import (
	"fmt"
)

// DamagedError says where a file is damaged, what is wrong there and what to do.
type DamagedError struct {
	Offset int64  // bytes into the file
	Where  string // the box, packet or unit
	What   string
	Advice string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("damaged at byte %d (%s): %s; %s", e.Offset, e.Where, e.What, e.Advice)
}

// Advice that most errors share.
const (
	adviceRemux   = "try to repair it with: ffmpeg -i DAMAGED -c copy REPAIRED.mp4"
	adviceCut     = "the file was cut off: copy or record it again"
	adviceConvert = "convert it with: ffmpeg -i FILE OUT.mp4"
)

func damaged(off int64, where, advice, format string, args ...any) error {
	return &DamagedError{Offset: off, Where: where, What: fmt.Sprintf(format, args...), Advice: advice}
}
