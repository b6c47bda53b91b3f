// Package mapconf reads the files that describe a table in a database, as pgsql_table(5), mysql_table(5), sqlite_table(5),
// ldap_table(5) and memcache_table(5) have them: "name = value", continued by lines that begin with a blank. It also fills
// keys into queries and answers into result_format, as Postfix does (db_common): %s %u %d %1 … %9, %S %U %D, %%.
//
// A value that cannot be used is an error that names the line. A name that the type does not know is a Problem, with the
// nearest name: Postfix passes over it, and old files are full of them.
//
// What it never does: quote. Each engine does so by its own rules, through the function that it hands in.
//
// Map: file.go the file · template.go queries and results · domains.go the parameter domain.
package mapconf
