package crypt

import "strings"

// The oldest form of crypt(3): two characters of salt, then eleven that hold 64 bits: a block of zeros, encrypted 25 times
// by DES (FIPS 46-3) under the first eight characters of the password, with some outputs of its expansion swapped by the
// salt. crypto/des cannot swap them.

// verifyDES checks the form of 13 characters.
func verifyDES(stored, password string) (bool, error) {
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(stored) != 13 {
		return false, ErrForm
	}
	for i := range len(stored) {
		if strings.IndexByte(alphabet, stored[i]) < 0 {
			return false, ErrForm
		}
	}
	salt := uint32(strings.IndexByte(alphabet, stored[0])) | uint32(strings.IndexByte(alphabet, stored[1]))<<6
	var key uint64
	for i := range 8 {
		key <<= 8
		if i < len(password) {
			key |= uint64(password[i] << 1) // the lowest bit is parity
		}
	}
	sum := desCrypt(key, salt)
	out := make([]byte, 0, 11)
	for i := range 11 { // 64 bits and two of padding, six at a time from the left
		shift := 58 - 6*i
		if shift >= 0 {
			out = append(out, alphabet[sum>>shift&63])
		} else {
			out = append(out, alphabet[sum<<-shift&63])
		}
	}
	return equal(string(out), stored[2:]), nil
}

// desCrypt encrypts zeros 25 times.
func desCrypt(key uint64, salt uint32) uint64 {
	t := desTables()
	keys := t.schedule(key)
	var block uint64
	for range 25 {
		block = t.encrypt(block, keys, salt)
	}
	return block
}

// desTable are DES's permutations (positions of bits, from 1 at the left) and boxes.
type desTable struct {
	initial, final, expand, mix, choice1, choice2 []byte
	boxes                                         [8]string // 64 values each, as hexadecimal digits
}

// permute takes the named bits of an input of width bits, in order.
func permute(in uint64, width int, table []byte) (out uint64) {
	for _, position := range table {
		out = out<<1 | in>>(width-int(position))&1
	}
	return out
}

func (t *desTable) schedule(key uint64) (keys [16]uint64) {
	const half = 1<<28 - 1
	cd := permute(key, 64, t.choice1)
	c, d := cd>>28, cd&half
	for i := range keys {
		n := 2
		if i == 0 || i == 1 || i == 8 || i == 15 {
			n = 1
		}
		c = (c<<n | c>>(28-n)) & half
		d = (d<<n | d>>(28-n)) & half
		keys[i] = permute(c<<28|d, 56, t.choice2)
	}
	return keys
}

func (t *desTable) encrypt(block uint64, keys [16]uint64, salt uint32) uint64 {
	block = permute(block, 64, t.initial)
	left, right := uint32(block>>32), uint32(block)
	for _, k := range keys {
		left, right = right, left^t.round(right, k, salt)
	}
	return permute(uint64(right)<<32|uint64(left), 64, t.final)
}

// round is DES's function f with crypt(3)'s change: bit i of the salt swaps the outputs i and i+24 of the expansion.
func (t *desTable) round(right uint32, key uint64, salt uint32) uint32 {
	e := permute(uint64(right), 32, t.expand)
	for i := range 12 {
		if salt>>i&1 == 1 {
			a, b := 47-i, 23-i
			if (e>>a^e>>b)&1 == 1 {
				e ^= 1<<a | 1<<b
			}
		}
	}
	e ^= key
	var s uint64
	for i, box := range t.boxes {
		six := e >> (42 - 6*i) & 63
		row, column := six>>4&2|six&1, six>>1&15
		s = s<<4 | uint64(strings.IndexByte("0123456789abcdef", box[row*16+column]))
	}
	return uint32(permute(s, 32, t.mix))
}

func desTables() *desTable {
	return &desTable{
		initial: []byte{
			58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
			57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
		},
		final: []byte{
			40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21, 61, 29,
			36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9, 49, 17, 57, 25,
		},
		expand: []byte{
			32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17,
			16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1,
		},
		mix: []byte{
			16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
		},
		choice1: []byte{
			57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
			63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
		},
		choice2: []byte{
			14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
			41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
		},
		boxes: [8]string{
			"e4d12fb83a6c5907" + "0f74e2d1a6cb9538" + "41e8d62bfc973a50" + "fc8249175b3ea06d",
			"f18e6b34972dc05a" + "3d47f28ec01a69b5" + "0e7ba4d158c6932f" + "d8a13f42b67c05e9",
			"a09e63f51dc7b428" + "d709346a285ecbf1" + "d6498f30b12c5ae7" + "1ad069874fe3b52c",
			"7de3069a1285bc4f" + "d8b56f03472c1ae9" + "a690cb7df13e5284" + "3f06a1d8945bc72e",
			"2c417ab6853fd0e9" + "eb2c47d150fa3986" + "421bad78f9c5630e" + "b8c71e2d6f09a453",
			"c1af92680d34e75b" + "af427c9561de0b38" + "9ef528c3704a1db6" + "432c95fabe17608d",
			"4b2ef08d3c975a61" + "d0b7491ae35c2f86" + "14bdc37eaf680592" + "6bd814a7950fe23c",
			"d2846fb1a93e50c7" + "1fd8a374c56b0e92" + "7b419ce206adf358" + "21e74a8dfc90356b",
		},
	}
}
