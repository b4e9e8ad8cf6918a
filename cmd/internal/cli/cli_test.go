package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace-video/millrace/cmd/internal/cli"
)

type shared struct {
	API string `name:"api" default:"here:80" placeholder:"ADDR" help:"Where. Default: ${default}."`
}

type commands struct {
	LogLevel string `enum:",warn" default:"" help:"From which level on."`

	Film filmCommand `cmd:"" help:"Film something."`
	Gate gateCommand `cmd:"" help:"Work the gate."`
	Self selfCommand `cmd:"" hidden:"" help:"For the program itself."`
}

type filmCommand struct {
	URL    []string      `arg:"" optional:"" help:"Of what."`
	Output string        `short:"o" required:"" placeholder:"FILE" help:"Into which file."`
	WarmUp time.Duration `short:"w" default:"5s" placeholder:"TIME" help:"Before. Default: ${default}."`
	From   string        `placeholder:"TIME" help:"From when."`
	At     time.Time     `help:"At which time."`
	Sizes  []int         `default:"8,64" placeholder:"N,…" help:"Sizes."`
	Seed   uint64        `help:"Of chance."`
	Force  bool          `short:"f" help:"At any price."`
	Secret string        `hidden:"" help:"Tells nobody."`
}

func (*filmCommand) Help() string { return "Until it ends." }

type gateCommand struct {
	shared

	Open  gateOpen  `cmd:"" help:"Open it."`
	Close gateClose `cmd:"" help:"Close it."`
}

type gateOpen struct {
	Name string `arg:"" help:"Which."`
	How  string `arg:"" optional:"" enum:"wide,ajar" help:"How far."`
}

type (
	gateClose   struct{}
	selfCommand struct{}
)

func parse(line string) (cmd commands, chosen any, told string, err error) {
	var out strings.Builder
	chosen, err = cli.Program{Name: "weir", About: "Filming.", Commands: &cmd}.Parse(strings.Fields(line), &out)
	return cmd, chosen, out.String(), err
}

// A3: what is said ends up where it belongs.
func TestACommandLineFillsTheFieldsOfItsCommand(t *testing.T) {
	cmd, chosen, _, err := parse("--log-level warn film a b -o x.mp4 --warm-up=1m --from -10m --at 2026-03-01T12:00:00Z --sizes 1,2 --sizes 3 --seed 7 -f -- -c")
	require.NoError(t, err)
	require.Equal(t, commands{
		LogLevel: "warn",
		Film: filmCommand{
			URL: []string{"a", "b", "-c"}, Output: "x.mp4", WarmUp: time.Minute, From: "-10m",
			At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Sizes: []int{1, 2, 3}, Seed: 7, Force: true,
		},
		Gate: gateCommand{shared: shared{API: "here:80"}},
	}, cmd)
	require.IsType(t, &filmCommand{}, chosen)

	cmd, chosen, _, err = parse("gate --api there:1 open front wide --log-level=warn")
	require.NoError(t, err)
	require.IsType(t, &gateOpen{}, chosen)
	require.Equal(t, gateOpen{Name: "front", How: "wide"}, cmd.Gate.Open)
	require.Equal(t, "there:1", cmd.Gate.API)
	require.Equal(t, "warn", cmd.LogLevel)
	require.Equal(t, []int{8, 64}, cmd.Film.Sizes, "a default")
	require.Equal(t, 5*time.Second, cmd.Film.WarmUp)

	for _, line := range []string{"film -ox.mp4 -w1s", "film -o=x.mp4 -w=1s", "film -o x.mp4 -w 1s", "film --output x.mp4 --warm-up 1s --force=false"} {
		cmd, _, _, err = parse(line)
		require.NoError(t, err, line)
		require.Equal(t, filmCommand{Output: "x.mp4", WarmUp: time.Second, Sizes: []int{8, 64}}, cmd.Film, line)
	}
}

// A3: what is wrong is told, with what would be right.
func TestWhatIsWrongOnACommandLineIsSaid(t *testing.T) {
	for line, want := range map[string]string{
		"":                             `expected one of "film", "gate"`,
		"gate":                         `expected one of "open", "close"`,
		"flim":                         `unexpected argument flim: expected one of "film", "gate"`,
		"gate close now":               "unexpected argument now",
		"gate open":                    `expected "<name>"`,
		"gate open front half":         `<how> must be one of "wide", "ajar" but got "half"`,
		"film":                         "missing flags: --output=FILE",
		"film --colour":                "unknown flag --colour",
		"film -z":                      "unknown flag -z",
		"film --api here:1":            "unknown flag --api",
		"film -o":                      "--output=FILE: a value is missing",
		"film --output --force":        "--output=FILE: a value is missing",
		"film -o x --warm-up 5":        `--warm-up "5": not a time such as 90s`,
		"film -o x --at noon":          `--at "noon": not a time such as 2026`,
		"film -o x --sizes 1,x":        `--sizes "x": not a whole number: invalid syntax`,
		"film -o x --seed -1":          `--seed "-1": not a whole number from 0 on`,
		"film -o x --force=perhaps":    `--force "perhaps": not true or false`,
		"film -o x --log-level louder": `--log-level must be one of "warn" but got "louder"`,
	} {
		_, chosen, told, err := parse(line)
		require.ErrorContains(t, err, want, line)
		require.Nil(t, chosen, line)
		require.Empty(t, told, line)
	}
}

// A3: help is told wherever it is asked for, whatever else is missing.
func TestHelp(t *testing.T) {
	_, chosen, told, err := parse("--help")
	require.NoError(t, err)
	require.Nil(t, chosen)
	require.Equal(t, `Usage: weir <command> [flags]

Filming.

Flags:
  -h, --help                  Show context-sensitive help.
      --log-level=LOGLEVEL    From which level on.

Commands:
  film          Film something.
  gate open     Open it.
  gate close    Close it.

Run "weir <command> --help" for more information on a command.
`, told)

	_, _, told, err = parse("film x -h --colour")
	require.NoError(t, err)
	require.Equal(t, `Usage: weir film [<url> ...] --output=FILE [flags]

Film something.

Until it ends.

Arguments:
  [<url> ...]    Of what.

Flags:
  -h, --help                  Show context-sensitive help.
      --log-level=LOGLEVEL    From which level on.

  -o, --output=FILE           Into which file.
  -w, --warm-up=TIME          Before. Default: 5s.
      --from=TIME             From when.
      --at=AT                 At which time.
      --sizes=N,…             Sizes.
      --seed=SEED             Of chance.
  -f, --force                 At any price.
`, told)
}

func TestNoLineOfTheHelpIsWiderThanATerminal(t *testing.T) {
	var cmd struct {
		Long string `placeholder:"A-VALUE-OF-A-NAME-THAT-IS-LONG" help:"Many words that do not fit on one line and are broken between words, wherever there is room for no more."`
	}
	var out strings.Builder
	_, err := cli.Program{Name: "weir", About: strings.Repeat("water ", 100), Commands: &cmd}.Parse([]string{"--help"}, &out)
	require.NoError(t, err)
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 80, line)
	}
}
