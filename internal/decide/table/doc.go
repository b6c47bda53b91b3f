// Package table is Postfix's lookup tables as values: a question (a key) to a table has an answer, none, or fails. An
// administrator's files keep their meaning: texthash, hash, btree, lmdb, cdb (all of them from their text), inline, static,
// regexp, pcre, cidr, and the tables made of tables: unionmap, pipemap, randmap.
//
// Each parser reads one text and returns what it could use with a Problem for each line that it could not, numbered, as
// postmap(1) warns and goes on. The facts are those of Postfix 3.7, compared with its postmap -q in test/interop/tables.
//
// Searches (search.go) tell which keys to try for an address, a domain or a client, and in which order. For each key all
// tables of a List are asked before the next key; tables of patterns are asked for whole keys only, never for parts.
//
// What the package never does: open a file, a socket or a database. Tables that must are made elsewhere, behind Table.
//
// Failures: an error of Lookup is always a temporary failure (the table could not be asked), never "not found".
//
// Map: table.go the interface, List · text.go key and value in lines · lines.go logical lines · compact.go the memory of
// large tables · inline.go inline, static, and their braces · pattern.go rules with if and endif · regexp.go, posix.go, pcre.go
// patterns · cidr.go networks · combine.go unionmap, pipemap, randmap · search.go the orders.
package table
