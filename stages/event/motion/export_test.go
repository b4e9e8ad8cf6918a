package motion

// Held returns how many pictures were decoded and not released.
func (k *Keys) Held() int { return k.pictures.Stats().Held }
