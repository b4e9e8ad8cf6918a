package snapshot

import (
	"fmt"
	"image"

	"github.com/millrace-video/millrace/hal/pixel"
)

// sample writes what Go's decoder made of a JPEG into an I420 picture of its size, or one pixel
// less where that is odd. Of finer chroma every second sample is taken.
func sample(dst pixel.Picture, img image.Image) error {
	switch img := img.(type) {
	case *image.YCbCr:
		b := img.Bounds()
		for y := range dst.Height {
			at := img.YOffset(b.Min.X, b.Min.Y+y)
			copy(dst.Plane[0][y*dst.Stride[0]:][:dst.Width], img.Y[at:])
		}
		for y := range dst.Height / 2 {
			u, v := dst.Plane[1][y*dst.Stride[1]:], dst.Plane[2][y*dst.Stride[2]:]
			for x := range dst.Width / 2 {
				at := img.COffset(b.Min.X+2*x, b.Min.Y+2*y)
				u[x], v[x] = img.Cb[at], img.Cr[at]
			}
		}
		return nil
	case *image.Gray:
		for y := range dst.Height {
			copy(dst.Plane[0][y*dst.Stride[0]:][:dst.Width], img.Pix[y*img.Stride:])
		}
		for i := 1; i < 3; i++ {
			for y := range dst.Height / 2 {
				row := dst.Plane[i][y*dst.Stride[i]:][:dst.Width/2]
				for x := range row {
					row[x] = 128
				}
			}
		}
		return nil
	}
	return fmt.Errorf("the camera's JPEG has colours that are not taken (%T)", img)
}
