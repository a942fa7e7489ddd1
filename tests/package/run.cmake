# Configures, builds and runs one consumer project. One that finds an installed tandem is given that of `prefix`; if
# there is none named, tandem is installed first, and then moved, so that no file of it may know where it was put.

include(${CMAKE_CURRENT_LIST_DIR}/functions.cmake)

file(REMOVE_RECURSE ${work})
cmake_path(GET consumer FILENAME kind)
set(arguments "-DTANDEM_SOURCE=${tandem_source}" -DTANDEM_PRECOMPILE_HEADERS=ON)
if(kind STREQUAL "find_package")
  if(NOT DEFINED prefix)
    set(prefix ${work}/moved)
    run(${CMAKE_COMMAND} --install ${tandem_build} --prefix ${work}/prefix)
    file(RENAME ${work}/prefix ${prefix})
  endif()
  set(arguments -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_FIND_PACKAGE_PREFER_CONFIG=ON)
endif()
run(${CMAKE_COMMAND} -S ${consumer} -B ${work}/build -G ${generator}
    -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 ${arguments})
run(${CMAKE_COMMAND} --build ${work}/build --parallel 2)
run(${work}/build/consumer)
