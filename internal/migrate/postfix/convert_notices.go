package postfix

import (
	"slices"

	"github.com/postrider/postrider/internal/decide/table"
)

// notifyClasses keeps the classes that postmasters can be told of here.
func notifyClasses(m *move, p *param) verdict {
	classes, err := table.Split(p.value)
	if err != nil {
		return unsupported("%v", err)
	}
	ours := slices.DeleteFunc(slices.Clone(classes), func(c string) bool { return !slices.Contains([]string{"2bounce", "bounce", "delay"}, c) })
	if len(ours) == 0 {
		return meaningless("postmaster is told of what can be neither delivered nor returned; all else is in the log and in the metrics")
	}
	return m.put(p, "notices.notify_classes", ours)
}
