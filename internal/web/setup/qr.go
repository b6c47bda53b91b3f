package setup

import (
	"strings"

	"rsc.io/qr"
)

// quiet is the border that readers need: four modules on each side (ISO/IEC 18004 §6.3.8).
const quiet = 4

// QRText draws a QR code with half blocks, two modules in a character. On a dark terminal, where characters are light,
// the light modules are drawn; paper is a light one.
func QRText(text string, dark bool) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", err
	}
	ink := func(x, y int) bool { return code.Black(x, y) != dark }
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			upper, lower := ink(x, y), ink(x, y+1)
			switch {
			case upper && lower:
				b.WriteRune('█')
			case upper:
				b.WriteRune('▀')
			case lower:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// qrScale is the size of a module in pixels.
const qrScale = 6

// QRPNG is a QR code as an image.
func QRPNG(text string) ([]byte, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, err
	}
	code.Scale = qrScale
	return code.PNG(), nil
}
