#pragma once

#include <pybind11/pybind11.h>

namespace harness::corpus {

void bind(pybind11::module_& module);

}  // namespace harness::corpus
