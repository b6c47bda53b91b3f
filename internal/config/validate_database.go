package config

import (
	"path/filepath"
	"regexp"
)

// withPassword finds a password in a URL, between the user's name and the host or among the parameters, and in a list of
// keywords and values.
var withPassword = regexp.MustCompile(`^[a-z]+://[^/@:]*:[^/@]+@|(?i)(^|[?&\s])password\s*=`)

// databaseRules are what must hold between the keys of [database].
func databaseRules(d Database) []rule {
	given := d.URL != "" || d.URLFile != ""
	return []rule{
		{d.Engine == "postgres" && !given, "database.engine", "\"postgres\" needs database.url or database.url_file"},
		{d.Engine == "sqlite" && given, "database.engine", "\"sqlite\" has no url: set \"postgres\", or take the url out"},
		{d.URL != "" && d.URLFile != "", "database.url_file", "is given and database.url too: take one out"},
		{withPassword.MatchString(d.URL), "database.url", "has a password, and everybody who may read the configuration would see it: write it to a file and name that in database.url_file"},
		{d.URLFile != "" && !filepath.IsAbs(d.URLFile), "database.url_file", "wants an absolute path"},
	}
}
