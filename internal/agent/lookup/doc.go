// Package lookup opens lookup tables by their names in Postfix's form, "type:name", for settings, for the commands postmap
// and postalias, and keeps those that are files up to date.
//
// Types of text files: hash, btree, lmdb, cdb, dbm, texthash (key and value in lines; the text is read, whatever program
// compiled it once), regexp, pcre, cidr. Described by a file: pgsql, mysql, sqlite, ldap, memcache, redis. In the setting
// itself: inline, static, fail, environ, tcp, socketmap, unionmap, pipemap, randmap. proxy:type:name is type:name.
//
// A file that has changed is read anew within some seconds, when it has been left alone for one: nobody is refused because
// an editor was in the middle of writing. What cannot be read any more stays as it was, and the log says so. A setting that
// names a table again, as a reload does, has it read at once, and is refused if it cannot be.
//
// What it never does: write a file or a database, or answer "not found" for a table that could not be asked.
//
// Map: opener.go names and the tables that are open · file.go tables of files · database.go tables that a file describes ·
// mapconf such files, queries and results · pool connections · sqltab, ldaptab, nettab the engines.
package lookup
