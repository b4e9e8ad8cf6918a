// Package haltest is the suite that every source driver passes: what hal.Source promises,
// checked one promise a subtest.
//
//	func TestConformance(t *testing.T) {
//		haltest.Source(t, haltest.Config{Driver: synth.Driver{}, URL: "synth://?frames=50&pace=fast", Frames: 50})
//	}
package haltest
