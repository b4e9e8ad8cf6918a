package cloud

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// render writes the playlist of packages that are in the store, in the order of their numbers:
// HLS VOD (RFC 8216), its segments relative to a playlist beside the folder of media. A seam is
// where a package does not go on from the one before it in the list.
func render(all []name) []byte {
	slices.SortFunc(all, func(a, b name) int { return cmp.Compare(a.number, b.number) })
	longest := time.Second
	for i := range all {
		longest = max(longest, all[i].length)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-INDEPENDENT-SEGMENTS\n",
		int(math.Ceil(longest.Seconds())))
	for i := range all {
		n := &all[i]
		if i > 0 && (!n.continues || all[i-1].number+1 != n.number || all[i-1].head != n.head) {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if i == 0 || all[i-1].head != n.head {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"../%s%s.mp4\"\n", initFolder, n.head)
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n#EXTINF:%.3f,\n../%s%s/%s\n",
			n.start.UTC().Format("2006-01-02T15:04:05.000Z"), n.length.Seconds(), mediaFolder, n.folder, n.base())
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.Bytes()
}
