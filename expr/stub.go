package expr

func Compile(t *Tree, s Scope, w Want) (*Program, []Problem) { return nil, nil }
func CompileAggregate(t *Tree, in, keys Scope, nextAcc func() int) (*AggregateField, []Problem) {
	return nil, nil
}
func IsAggregate(name string) bool { return false }
