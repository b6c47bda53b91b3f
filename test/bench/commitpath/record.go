package main

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A record of the pack, enough of the real one for its cost and for replay:
//
//	header   magic "PRrc" · version 1 · flags 1 · key id 2 · pack nonce 8 · queue id 8 · body length 4 ·
//	         trailer length 4 · CRC32C of the header so far 4
//	body     the message as received
//	trailer  TLV: tag 1 · length 2 · value
//	footer   length of the whole record 4 · CRC32C of everything before it 4
//
// Numbers are little-endian. The lengths stand in the header because replay reads forward; the header has a checksum
// of its own so that replay can step over a damaged body without believing a damaged length. The nonce is random per
// pack: a record that a stranger mails to us inside a body is not taken for one of ours when replay looks for the next
// header after damage.
const (
	headerSize = 36
	footerSize = 8
	version    = 1
	maxBody    = 256 << 10
	maxTrailer = 64 << 10
)

// Tags of the trailer.
const (
	tagSender = 1 + iota
	tagRecipient
	tagDSN
	tagPlan
	tagClient
	tagLiterals
	tagIndex
	tagReceived
)

var (
	errShort  = errors.New("record: cut short")
	errHeader = errors.New("record: header damaged")
	errDamage = errors.New("record: checksum differs")
)

// job is one accepted message on its way into a mailbox.
type job struct {
	queueID int64
	account int64
	off     int64 // where its record begins in the pack
	size    int64 // of the record
	meta    []byte
	record  []byte // the encoded record; belongs to the session, valid until the answer
	done    chan answer
}

// answer ends a session's wait, or tells it to lead the next group (pack.go).
type answer struct {
	lead bool
	err  error
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // cached by the package

// appendRecord appends the record of one message to buf.
func appendRecord(buf []byte, nonce uint64, j *job, body []byte, e *envelope) []byte {
	start := len(buf)
	buf = append(buf, 'P', 'R', 'r', 'c', version, 0, 0, 0)
	buf = binary.LittleEndian.AppendUint64(buf, nonce)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(j.queueID))
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(body)))
	lengthAt := len(buf)
	buf = append(buf, 0, 0, 0, 0, 0, 0, 0, 0) // trailer length and header checksum, known below
	buf = append(buf, body...)
	trailerAt := len(buf)
	buf = e.appendTrailer(buf, j)
	binary.LittleEndian.PutUint32(buf[lengthAt:], uint32(len(buf)-trailerAt))
	head := crc32.Checksum(buf[start:lengthAt+4], castagnoli())
	binary.LittleEndian.PutUint32(buf[lengthAt+4:], head)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(buf)-start+footerSize))
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf[start:], castagnoli()))
}

// envelope is what the trailer keeps so that the job can be rebuilt without the database.
type envelope struct {
	sender, recipient, dsn, client string
	literals, index                []byte
	received                       int64
}

func (e *envelope) appendTrailer(buf []byte, j *job) []byte {
	buf = appendTLV(buf, tagSender, []byte(e.sender))
	buf = appendTLV(buf, tagRecipient, []byte(e.recipient))
	buf = appendTLV(buf, tagDSN, []byte(e.dsn))
	buf = appendTLV(buf, tagPlan, binary.LittleEndian.AppendUint64(nil, uint64(j.account)))
	buf = appendTLV(buf, tagClient, []byte(e.client))
	buf = appendTLV(buf, tagLiterals, e.literals)
	buf = appendTLV(buf, tagIndex, e.index)
	return appendTLV(buf, tagReceived, binary.LittleEndian.AppendUint64(nil, uint64(e.received)))
}

func appendTLV(buf []byte, tag byte, value []byte) []byte {
	buf = append(buf, tag)
	buf = binary.LittleEndian.AppendUint16(buf, uint16(len(value)))
	return append(buf, value...)
}

// recordSize reads a header and returns the length of its record.
func recordSize(b []byte, nonce uint64) (int, error) {
	if len(b) < headerSize {
		return 0, errShort
	}
	body := binary.LittleEndian.Uint32(b[24:])
	trailer := binary.LittleEndian.Uint32(b[28:])
	switch {
	case string(b[:4]) != "PRrc", b[4] != version, b[5] != 0,
		binary.LittleEndian.Uint64(b[8:]) != nonce,
		body > maxBody, trailer > maxTrailer,
		crc32.Checksum(b[:32], castagnoli()) != binary.LittleEndian.Uint32(b[32:]):
		return 0, errHeader
	}
	return headerSize + int(body) + int(trailer) + footerSize, nil
}

// parseRecord rebuilds the job from the record at the beginning of b.
func parseRecord(b []byte, nonce uint64) (*job, error) {
	size, err := recordSize(b, nonce)
	if err != nil {
		return nil, err
	}
	if len(b) < size {
		return nil, errShort
	}
	b = b[:size]
	if crc32.Checksum(b[:size-4], castagnoli()) != binary.LittleEndian.Uint32(b[size-4:]) {
		return nil, errDamage
	}
	j := &job{queueID: int64(binary.LittleEndian.Uint64(b[16:])), size: int64(size)}
	trailer := b[headerSize+int(binary.LittleEndian.Uint32(b[24:])) : size-footerSize]
	for len(trailer) >= 3 {
		n := int(binary.LittleEndian.Uint16(trailer[1:]))
		if len(trailer) < 3+n {
			return nil, errDamage
		}
		value := trailer[3 : 3+n]
		switch trailer[0] {
		case tagPlan:
			if n != 8 {
				return nil, errDamage
			}
			j.account = int64(binary.LittleEndian.Uint64(value))
		case tagIndex:
			j.meta = append([]byte(nil), value...)
		}
		trailer = trailer[3+n:]
	}
	return j, nil
}
