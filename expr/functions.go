package expr

import "maps"

// functions are the functions of the language but for those with predicates.
var functions = func() map[string]*function {
	all := make(map[string]*function)
	for _, group := range []map[string]*function{
		textFunctions(), numberFunctions(), listFunctions(), mapFunctions(), timeFunctions(), conversionFunctions(),
		choiceFunctions(), hashFunctions(),
	} {
		maps.Copy(all, group)
	}
	return all
}()
