// Package cli reads a command line into the fields of structs, as their tags say.
//
// A field with cmd:"" is a command, a struct of its own that may have commands in turn; arg:"" makes
// a field an argument, and every other one is a flag. Structs that are embedded count as their fields.
//
//	help:"…"        what it is; ${default} stands for the default
//	name:"…"        instead of the field's own name, WarmUp for --warm-up
//	short:"d"       a flag's letter
//	default:"…"     where nothing is said
//	enum:"a,b"      what it may be; an empty one among them is: nothing said
//	placeholder:"…" what the help calls its value
//	required:""     a flag that has to be there
//	optional:""     an argument that need not be; only the last may be
//	hidden:""       works, and no help tells it
//
// A command with a method Help() string has that below its help.
//
// A value is a string, a truth, a number, a duration, a time as RFC 3339 has it, or a list of them with
// commas. The fields are found by reflection, methods are not: a program that looks for methods by a
// name that is made up at run time has to keep every method of every type it knows, in the file and,
// as pages are read in by the dozen, in memory.
package cli
