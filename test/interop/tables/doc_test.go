// Package tables compares our lookup tables with those of Debian's Postfix: the same texts and keys to postmap -q and to
// package table, many of them generated.
package tables
