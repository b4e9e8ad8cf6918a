package pack

import "encoding/binary"

// Note is the id of the uuid box in which a recorder says, as JSON, what the file is. It stands
// between the head and the first fragment; players skip it.
const Note = "millrace-segment"

// maxNote is how long a note can be.
const maxNote = 64 << 10

// AppendNote appends a note to the head of a file.
func AppendNote(head, json []byte) []byte {
	head = binary.BigEndian.AppendUint32(head, uint32(boxHead+len(Note)+len(json)))
	head = append(head, "uuid"+Note...)
	return append(head, json...)
}
