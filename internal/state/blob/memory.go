package blob

import (
	"context"

	"github.com/postrider/postrider/internal/vfs"
)

// NewMemory opens an empty store that lives in memory, for tests: the same code over a disk without durability and a
// catalog without a database. Of opt, FS, Dir, Catalog and Fill are replaced.
func NewMemory(ctx context.Context, opt Options) (*Store, error) {
	opt.FS, opt.Dir, opt.Catalog, opt.Fill = vfs.NewVolatile(), "packs", NewMemoryCatalog(nil), -1
	return Open(ctx, opt)
}
