package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"zombiezen.com/go/sqlite"
)

// replay delivers what the pack holds after the settled position, as a start would. It returns how many records it
// read and how many of them were new to the mailstore. A record that is cut short at the end of the pack was never
// answered for; it ends the replay without an error.
func replay(conn *sqlite.Conn, dir string) (read, filed int, err error) {
	b, err := os.ReadFile(packName(dir))
	if err != nil {
		return 0, 0, err
	}
	if len(b) < 16 {
		return 0, 0, errShort
	}
	nonce := binary.LittleEndian.Uint64(b[8:])
	settled, _, err := row(conn, `SELECT settled FROM pack WHERE id = 1`)
	if err != nil {
		return 0, 0, err
	}
	if settled > int64(len(b)) {
		return 0, 0, fmt.Errorf("pack: settled position %d lies behind its end %d", settled, len(b))
	}
	err = within(conn, func() error {
		for off := settled; ; {
			j, err := parseRecord(b[off:], nonce)
			if errors.Is(err, errShort) || errors.Is(err, errHeader) || errors.Is(err, errDamage) {
				return exec(conn, `UPDATE pack SET settled = ? WHERE id = 1`, off)
			}
			if err != nil {
				return err
			}
			j.off = off
			read++
			fresh, err := claim(conn, j)
			if err != nil {
				return err
			}
			if fresh {
				filed++
				if err := file(conn, j); err != nil {
					return err
				}
			}
			off += j.size
		}
	})
	return read, filed, err
}
