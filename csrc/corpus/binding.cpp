// The matcher of captions for Python: columns of Arrow by address, without a copy and without the interpreter's lock.

#include "binding.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "matcher.hpp"

namespace py = pybind11;

namespace harness::corpus {

namespace {

using FormTuple = std::tuple<int, bool, py::bytes, std::size_t, std::size_t, std::vector<py::bytes>, std::vector<py::bytes>>;

std::vector<std::string> strings(const std::vector<py::bytes>& given) { return {given.begin(), given.end()}; }

Matcher* make_matcher(const py::array_t<std::uint32_t>& characters, const std::vector<std::pair<py::bytes, py::bytes>>& character_forms,
                      const std::vector<FormTuple>& given, std::vector<std::uint64_t> seeds, const std::vector<Merge>& merges,
                      int context_length, int kept) {
    std::vector<CharacterTable::Forms> pairs(character_forms.begin(), character_forms.end());
    std::vector<Form> forms;
    for (const auto& [number, own, literal, offset, tail, words, last] : given)
        forms.push_back({number, own, literal, offset, tail, strings(words), strings(last)});
    return new Matcher(CharacterTable(characters.data(), std::size_t(characters.size()), std::move(pairs)), forms, std::move(seeds),
                       merges, context_length, kept);
}

template <class Number>
py::array_t<Number> array(const std::vector<Number>& numbers) {
    return py::array_t<Number>(std::int64_t(numbers.size()), numbers.data());
}

// captions, counts (concepts, 2, rules), concept, key and row of each sample, and the rows of the column left to Python
py::tuple count(const Matcher& matcher, std::uintptr_t data, std::uintptr_t offsets, bool wide, std::uintptr_t validity,
                std::int64_t first, std::int64_t size, std::int64_t row, std::uint64_t file_seed,
                const py::array_t<std::uint64_t, py::array::c_style>& limits) {
    const Column column{reinterpret_cast<const char*>(data), reinterpret_cast<const void*>(offsets), wide,
                        reinterpret_cast<const std::uint8_t*>(validity), first, size};
    const std::uint64_t* const largest = limits.data();
    Tally tally;
    {
        const py::gil_scoped_release release;
        tally = matcher.count(column, row, file_seed, largest);
    }
    py::array_t<std::int64_t> counts({std::int64_t(tally.counts.size()), std::int64_t(2), std::int64_t(kRules)});
    std::memcpy(counts.mutable_data(), tally.counts.data(), tally.counts.size() * sizeof(tally.counts[0]));
    std::vector<std::int64_t> concepts, rows;
    std::vector<std::uint64_t> keys;
    for (std::size_t number = 0; number < tally.samples.size(); ++number) {
        for (const Sample& sample : tally.samples[number]) {
            concepts.push_back(std::int64_t(number));
            keys.push_back(sample.key);
            rows.push_back(sample.row);
        }
    }
    return py::make_tuple(tally.captions, counts, array(concepts), array(keys), array(rows), array(tally.left));
}

}  // namespace

void bind(py::module_& module) {
    py::class_<Matcher>(module, "CorpusMatcher")
        .def(py::init(&make_matcher), py::arg("characters"), py::arg("character_forms"), py::arg("forms"), py::arg("seeds"),
             py::arg("merges"), py::arg("context_length"), py::arg("kept"))
        .def("count", &count, py::arg("data"), py::arg("offsets"), py::arg("wide"), py::arg("validity"), py::arg("first"),
             py::arg("size"), py::arg("row"), py::arg("file_seed"), py::arg("limits"));
}

}  // namespace harness::corpus
