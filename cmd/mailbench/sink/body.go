package sink

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/postrider/postrider/cmd/mailbench/load"
)

// body sums up a message line by line: see load.SumHeader.
type body struct {
	stamp   string // from the Message-ID
	sum     string // from load.SumHeader
	repeats bool   // the stamp stands in the first line of the body
	at      int    // 0: header; 1: first line of the body; 2: the rest
	crc     uint32
}

func (b *body) add(line []byte) {
	switch b.at {
	case 0:
		b.header(line)
	case 1:
		b.repeats = string(line) == b.stamp
		b.at = 2
	default:
		table := crc32.MakeTable(crc32.Castagnoli)
		b.crc = crc32.Update(crc32.Update(b.crc, table, line), table, []byte("\r\n"))
	}
}

func (b *body) header(line []byte) {
	if len(line) == 0 {
		b.at = 1
		return
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return
	}
	text := strings.TrimSpace(string(value))
	switch {
	case bytes.EqualFold(name, []byte("Message-ID")):
		if id, ours := strings.CutSuffix(strings.Trim(text, "<>"), load.IDDomain); ours {
			if _, _, ok := load.ParseStamp(id); ok {
				b.stamp = id
			}
		}
	case bytes.EqualFold(name, []byte(load.SumHeader)):
		b.sum = text
	}
}

func (b *body) intact() bool {
	return b.stamp != "" && b.repeats && b.sum == fmt.Sprintf("%08x", b.crc)
}
