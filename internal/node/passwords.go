package node

import (
	"runtime"

	"github.com/postrider/postrider/internal/config"
)

// passwordChecks is how many passwords are hashed at once: more than there are processors only costs memory.
func passwordChecks(c *config.Config) int {
	if n := c.Limits.PasswordChecks; n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}
