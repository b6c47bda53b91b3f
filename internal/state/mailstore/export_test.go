package mailstore

// SetSlice makes large changes of few messages.
func SetSlice(s *Store, n int) { s.maxSlice = n }
