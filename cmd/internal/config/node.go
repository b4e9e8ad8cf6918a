package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is what a value in the file is.
type kind uint8

const (
	isBroken kind = iota // a problem has been reported; nothing more is said about it
	isNull
	isText
	isInteger
	isFloat
	isBoolean
	isList
	isObject
)

func (k kind) String() string {
	return [...]string{"broken", "nothing", "text", "a whole number", "a number", "true or false", "a list", "an object"}[k]
}

// node is a value in the file, with its place.
type node struct {
	kind      kind
	line, col int
	text      string // of a scalar
	shift     int    // columns from col to the text's first character; −1 where it is not in one piece
	items     []*node
	fields    []field
}

// field is a key of an object with its value.
type field struct {
	name      string
	line, col int
	value     *node
}

// The bounds of what is read. A configuration of 1,000 channels has 300 KiB.
const (
	maxSize    = 1 << 20
	maxTokens  = 200_000
	maxFlow    = 16  // [[[ …
	maxIndent  = 100 // columns, and so levels of blocks
	maxEntries = 8   // - - - … on one line

	// The YAML module takes time in the square of an object's size: a second for this many.
	maxKeys = 2000
)

// parse reads YAML into nodes.
func (d *decoder) parse(text []byte) *node {
	if len(text) > maxSize {
		d.problem(0, 0, "", "the file is larger than 1 MiB: this is no configuration")
		return nil
	}
	tokens, ok := d.tokenize(string(text))
	if !ok {
		return nil
	}
	file, err := safely(func() (*ast.File, error) { return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) })
	if err != nil {
		d.syntax(err)
		return nil
	}
	if len(file.Docs) > 1 {
		line, col := place(file.Docs[1].Start)
		d.problem(line, col, "", "a second YAML document: one file holds one configuration")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return &node{kind: isNull, line: 1, col: 1}
	}
	root, err := safely(func() (*node, error) { return d.convert(file.Docs[0].Body), nil })
	if err != nil {
		d.syntax(err)
	}
	return root
}

// tokenize is the first pass. It refuses what would nest too deep for the second.
func (d *decoder) tokenize(text string) (token.Tokens, bool) {
	tokens, err := safely(func() (token.Tokens, error) { return lexer.Tokenize(text), nil })
	if err != nil {
		d.syntax(err)
		return nil, false
	}
	if len(tokens) > maxTokens {
		d.problem(0, 0, "", fmt.Sprintf("more than %d YAML tokens: this is no configuration", maxTokens))
		return nil, false
	}
	flow, line, entries := 0, 0, 0
	var open levels
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
		}
		deep := false
		switch t.Type { //nolint:exhaustive // the other tokens do not nest
		case token.SequenceStartType, token.MappingStartType:
			flow++
			deep = flow > maxFlow
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			entries++
			deep = entries > maxEntries || t.Position.Column > maxIndent
		case token.MappingValueType:
			deep = t.Position.IndentNum > maxIndent
		}
		if open.keys(t) > maxKeys {
			d.problem(t.Position.Line, t.Position.Column, "", fmt.Sprintf("an object with more than %d keys: this is no configuration", maxKeys))
			return nil, false
		}
		d.refuse(t)
		if deep {
			d.problem(t.Position.Line, t.Position.Column, "", "nested too deep: a configuration has five levels")
			return nil, false
		}
	}
	return tokens, true
}

// levels are the blocks that are open while the tokens are gone through.
type levels []struct{ col, keys int }

// keys returns how many keys the block has that t stands in, as far as it was gone through.
func (l *levels) keys(t *token.Token) int {
	col := t.Position.Column
	switch {
	case t.Type == token.SequenceEntryType, t.Type == token.MappingKeyType:
	case t.Type == token.MappingValueType && t.Prev != nil:
		col = t.Prev.Position.Column
	default:
		return 0
	}
	for len(*l) > 0 && (*l)[len(*l)-1].col > col {
		*l = (*l)[:len(*l)-1]
	}
	if len(*l) == 0 || (*l)[len(*l)-1].col < col {
		*l = append(*l, struct{ col, keys int }{col: col})
	}
	at := &(*l)[len(*l)-1]
	if t.Type != token.SequenceEntryType {
		at.keys++
	}
	return at.keys
}

// refuse reports what a configuration needs no part of. Without aliases its size is what the
// file shows.
func (d *decoder) refuse(t *token.Token) {
	line, col := place(t)
	switch t.Type { //nolint:exhaustive // the others are taken
	case token.AnchorType, token.AliasType, token.MergeKeyType:
		d.problem(line, col, "", "anchors, aliases and merge keys are not taken: what all channels share goes under defaults")
	case token.TagType:
		d.problem(line, col, "", "tags are not taken: write the value alone, in quotes where it is text")
	}
}

// safely turns a panic of the YAML module into an error.
func safely[T any](f func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the YAML parser gave up on it")
		}
	}()
	return f()
}

// located is the YAML module's errors.
type located interface {
	GetMessage() string
	GetToken() *token.Token
}

func (d *decoder) syntax(err error) {
	var at located
	if !errors.As(err, &at) {
		d.problem(0, 0, "", "no YAML: "+err.Error())
		return
	}
	line, col := place(at.GetToken())
	message, _, _ := strings.Cut(at.GetMessage(), "\n")
	d.problem(line, col, "", "no YAML: "+message+": check the indentation, the colons and the quotes of this line and the one before")
}

func place(t *token.Token) (line, col int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

// convert makes a node of the module's tree.
func (d *decoder) convert(n ast.Node) *node {
	if n == nil {
		return &node{kind: isNull}
	}
	line, col := place(n.GetToken())
	at := func(k kind) *node { return &node{kind: k, line: line, col: col} }
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.TagNode: // refused already
	case ast.ScalarNode:
		return scalar(n, line, col)
	case *ast.SequenceNode:
		list := at(isList)
		for _, v := range n.Values {
			list.items = append(list.items, d.convert(v))
		}
		return list
	case *ast.MappingNode:
		return d.object(n.Values, line, col)
	case *ast.MappingValueNode:
		return d.object([]*ast.MappingValueNode{n}, line, col)
	case *ast.MappingKeyNode:
	default:
		d.problem(line, col, "", "not taken in a configuration: "+strings.ToLower(n.Type().YAMLName()))
	}
	return at(isBroken)
}

// scalar makes a node of a value without parts.
func scalar(n ast.ScalarNode, line, col int) *node {
	at := func(k kind, text string) *node { return &node{kind: k, line: line, col: col, text: text} }
	switch n := n.(type) {
	case *ast.NullNode:
		return at(isNull, "")
	case *ast.StringNode:
		s := at(isText, n.Value)
		if n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType {
			s.shift = 1
		}
		return s
	case *ast.LiteralNode:
		s := at(isText, n.Value.Value)
		s.shift = -1
		return s
	case *ast.IntegerNode:
		return at(isInteger, n.Token.Value)
	case *ast.FloatNode:
		return at(isFloat, n.Token.Value)
	case *ast.InfinityNode, *ast.NanNode:
		return at(isFloat, n.GetToken().Value)
	case *ast.BoolNode:
		return at(isBoolean, n.Token.Value)
	}
	return at(isBroken, "") // an alias, refused already
}

func (d *decoder) object(pairs []*ast.MappingValueNode, line, col int) *node {
	o := &node{kind: isObject, line: line, col: col}
	lines := make(map[string]int, len(pairs)) // where each key stands
	for i, p := range pairs {
		key := p.Key.GetToken()
		f := field{}
		f.line, f.col = place(key)
		if i == 0 {
			o.line, o.col = f.line, f.col
		}
		if _, ok := p.Key.(*ast.StringNode); ok {
			f.name = key.Value
			f.value = d.convert(p.Value)
		} else if s, ok := p.Key.(ast.ScalarNode); ok && !p.Key.IsMergeKey() {
			f.name = fmt.Sprint(s.GetValue())
			f.value = d.convert(p.Value)
		} else {
			if s, ok := p.Key.(*ast.MappingKeyNode); ok {
				d.wrong(d.convert(s), "", "a key is a word")
			}
			continue // the others are refused already
		}
		if first, ok := lines[f.name]; ok {
			d.problem(f.line, f.col, "", fmt.Sprintf("key %q given twice: the first is in line %d", d.show(f.name), first))
			continue
		}
		lines[f.name] = f.line
		o.fields = append(o.fields, f)
	}
	return o
}

// get returns a field of an object, or nil.
func (n *node) get(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name {
			return &n.fields[i]
		}
	}
	return nil
}

// at returns the place of a field's value, or of the object where it is not there.
func (n *node) at(name string) *node {
	if f := n.get(name); f != nil {
		return f.value
	}
	return n
}
