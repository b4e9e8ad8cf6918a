package synth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/hal/synth"
)

// H7: a card can stand still, for what must tell motion from none.
func TestACardThatStandsStill(t *testing.T) {
	card := synth.Card{Width: 640, Height: 360, Rate: synth.Rate{Num: 25, Den: 1}, Seed: 1, Still: 100}
	layout, err := hal.PackedLayout(hal.I420, card.Width, card.Height)
	require.NoError(t, err)
	paint := func(frame int) []byte {
		picture := make([]byte, layout.Size)
		require.NoError(t, card.Paint(picture, layout, frame))
		return picture
	}
	first := paint(0)
	for _, frame := range []int{1, 25, 99} {
		require.Equal(t, first, paint(frame))
		require.Zero(t, card.Number(frame))
	}
	require.NotEqual(t, first, paint(100))
	require.Equal(t, uint32(100), card.Number(100))
}
