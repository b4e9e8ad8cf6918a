package main

type recordingCommand struct {
	asking

	Start recordingStart `cmd:"" help:"Record, from the last key frame on."`
	Stop  recordingStop  `cmd:"" help:"End the recording; its files are finished and then merged."`
}

type (
	recordingStart struct {
		Name string `arg:"" help:"The channel."`
	}
	recordingStop struct {
		Name string `arg:"" help:"The channel."`
	}
)

// Run starts a recording.
func (s *recordingStart) Run(c *console) error {
	return command(c, c.all.Recording.asking, s.Name, "recording/start")
}

// Run stops a recording.
func (s *recordingStop) Run(c *console) error {
	return command(c, c.all.Recording.asking, s.Name, "recording/stop")
}
