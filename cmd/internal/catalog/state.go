package catalog

// position is how much of a channel's journal the database has taken in.
type position struct {
	Piece  uint32 `json:"piece"`
	Offset int64  `json:"offset"`
}

// state is what the database knows of a channel beside its items.
type state struct {
	ledger
	At       position `json:"at"`
	Trusted  uint32   `json:"trusted"` // labels are as the anchors up to this one have them
	Segments int64    `json:"segments"`
	Bytes    int64    `json:"bytes"` // of segments and merged copies
	Pins     uint64   `json:"pins"`  // the number of the latest pin
}
