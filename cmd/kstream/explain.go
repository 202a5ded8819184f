package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kstream/topology"
)

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain [WORD…]", Short: "Explain a field, a function, a name or an error code",
		Long: `Prints the page of each word: a field of the language (step.window.allowed_lateness,
or its last part alone), a function (fn.extract, extract), a name ($ts), or an
error code (unconsumed-output) with a file that is refused and one that is not.
Without a word it lists everything there is.`,
		Example:           "  kstream explain unconsumed-output\n  kstream explain step.window\n  kstream explain max_by",
		ValidArgsFunction: explainTopics,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := jsonOutput(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return explainAll(asJSON)
			}
			return explainWords(args, asJSON)
		},
	}
}

func explainTopics(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var topics []string
	for _, p := range topology.Pages() {
		topics = append(topics, p.Topic)
	}
	return topics, cobra.ShellCompDirectiveNoFileComp
}

// explainMax is how many pages one word may print; beyond that they are listed.
const explainMax = 3

func explainWords(words []string, asJSON bool) error {
	var missing []string
	printed := 0
	for _, word := range words {
		found, near := topology.Find(word)
		switch {
		case len(found) == 0:
			text := fmt.Sprintf("there is no page about %q", word)
			if len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			missing = append(missing, text)
		case len(found) > explainMax && !asJSON:
			fmt.Printf("%s is a word in several places:\n\n", word)
			for _, p := range found {
				fmt.Printf("  kstream explain %s\n", p.Topic)
			}
			printed++
		default:
			for _, p := range found {
				if printed++; printed > 1 && !asJSON {
					fmt.Print("\n" + strings.Repeat("─", 40) + "\n\n")
				}
				if err := printPage(&p, asJSON); err != nil {
					return err
				}
			}
		}
	}
	if len(missing) > 0 {
		return &exitError{code: exitUsage, text: strings.Join(missing, "; "), hint: "kstream explain lists all words"}
	}
	return nil
}

// explainPage is a page for programs.
type explainPage struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	Topic   string `json:"topic"`
	Type    string `json:"type"`
	Built   bool   `json:"built"`
	Title   string `json:"title"`
	Text    string `json:"text"`
	Wrong   string `json:"wrong,omitempty"`
	Right   string `json:"right,omitempty"`
}

func printPage(p *topology.Page, asJSON bool) error {
	if !asJSON {
		fmt.Print(p.Whole())
		return nil
	}
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(explainPage{Kind: "ExplainPage", Version: 1, Topic: p.Topic, Type: p.Kind, Built: p.Built,
		Title: p.Title, Text: p.Text, Wrong: p.Wrong, Right: p.Right})
}

// explainAll lists what there is a page for, by kind.
func explainAll(asJSON bool) error {
	pages := topology.Pages()
	if asJSON {
		for _, p := range pages {
			if err := printPage(&p, true); err != nil {
				return err
			}
		}
		return nil
	}
	for _, kind := range []struct{ name, title string }{
		{"field", "Fields of pipeline files"}, {"function", "Functions"}, {"aggregate", "Aggregate functions"},
		{"name", "Names in expressions"}, {"code", "Error codes"},
	} {
		var words []string
		for _, p := range pages {
			if p.Kind == kind.name && p.Built {
				words = append(words, p.Topic)
			}
		}
		fmt.Printf("%s\n%s\n", kind.title, folded(words, 78))
	}
	fmt.Println("kstream explain WORD prints the page of one of them.")
	return nil
}

// folded writes words in lines of at most so many characters.
func folded(words []string, width int) string {
	var b strings.Builder
	used := 0
	for _, w := range words {
		if used > 0 && used+1+len(w) > width {
			b.WriteByte('\n')
			used = 0
		}
		if used == 0 {
			b.WriteByte(' ')
			used = 1
		}
		b.WriteString(" " + w)
		used += 1 + len(w)
	}
	b.WriteByte('\n')
	return b.String()
}
